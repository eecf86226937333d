"""Rows that `derive` makes and leaves out, and columns that are not flat."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_shop import day, event, simulated_shop

from ml_assets.config.ingestion_error import IngestionError
from ml_assets.ingestion.days.ledger import read_report


def derived(shop, derive, **changes):
    shop.source = simulated_shop({"tables": {"events": {"derive": derive, **changes}}})
    return shop


def test_what_derive_leaves_out_is_counted(shop):
    derived(shop, "select * from raw where event_type <> 'cart'")
    shop.land_events(0, [event("a"), event("b", event_type="cart"), event("c", price="x")])
    shop.land_events(1, [event("d", 1)])
    report = shop.ingest(0, 1)
    assert [(of.rows_in, of.rows_good, of.rows_left_out) for of in report.days] == [(2, 1, 1), (1, 1, 0)]
    assert read_report(shop.settings.lake, "events", day(0), day(1)) == report


def test_a_row_that_becomes_several_is_not_left_out(shop):
    derived(shop, "select * exclude event_id, event_id || n as event_id from raw, range(3) as r(n)")
    shop.land_events(0, [event("a"), event("b")])
    report = shop.ingest(0)
    assert (report.rows_in, report.rows_left_out) == (6, 0)


def land_nested(shop):
    rows = [{**event(name), "item": {"sku": name, "price": 2.5}, "tags": ["x", None]} for name in "ab"]
    more = pa.array([[("k", 1)]] * 2, pa.map_(pa.string(), pa.int64()))
    table = pa.Table.from_pylist(rows).append_column("more", more)
    path = shop.settings.landing / "events" / f"{day(0)}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def test_nested_columns_are_read_as_json(shop):
    land_nested(shop)
    columns = {
        "price": "item ->> '$.price'",
        "session_id": "tags ->> 0",
        "quantity": "more ->> '$.k'",
        "country": "item",
    }
    shop.source = simulated_shop({"tables": {"events": {"columns": columns, "rules": {"b": "event_id = 'b'"}}}})
    assert shop.ingest(0).reasons == {"b": 1}
    (row,) = shop.good()
    assert (row["price"], row["session_id"], row["quantity"]) == (2.5, "x", 1)
    assert json.loads(row["country"]) == {"sku": "a", "price": 2.5}
    assert json.loads(json.loads(shop.bad()[0]["raw"])["tags"]) == ["x", None]


def test_a_cast_to_part_of_a_struct_is_told_to_take_values_out(shop):
    land_nested(shop)
    columns = {"price": "cast(item as struct(cost double)).cost"}
    shop.source = simulated_shop({"tables": {"events": {"columns": columns}}})
    with pytest.raises(IngestionError, match="take single values out of nested ones") as raised:
        shop.ingest(0)
    assert "try_cast" not in raised.value.remedy
