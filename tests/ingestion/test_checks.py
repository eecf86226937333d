"""The contract: values, and each reason a row can be set aside for."""

import duckdb
import pytest
from tiny_shop import EVENT_COLUMNS, at, day, event, product, simulated_shop, write_rows

from ml_assets.config.ingestion_error import IngestionError
from ml_assets.config.source_spec import ColumnSpec
from ml_assets.ingestion.contract.checks import conditions, value_sql


def value(kind, text):
    column = ColumnSpec.model_validate({"from": "x", "type": kind, "description": "a value"})
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    return connection.execute(f"select {value_sql(column, '$1::varchar')}", [text]).fetchone()[0]


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("INTEGER", "12", 12),
        ("INTEGER", "12.0", 12),
        ("INTEGER", "1.5", None),  # a plain cast rounds to 2
        ("INTEGER", "99999999999", None),
        ("INTEGER", "two", None),
        ("DOUBLE", "1e3", 1000.0),
        ("DOUBLE", "nan", None),
        ("DOUBLE", "1e400", None),
        ("DOUBLE", "12,50", None),
        ("BOOLEAN", "true", True),
        ("BOOLEAN", "perhaps", None),
        ("TIMESTAMP", "2026-01-01", at(0, "00:00:00")),
        ("TIMESTAMP", "2026-01-01T10:00:00Z", at(0)),
        ("TIMESTAMP", "2026-01-01T12:00:00+02:00", at(0)),  # a plain cast drops the offset
        ("TIMESTAMP", "infinity", None),
        ("TIMESTAMP", "2026-02-30", None),
        ("DATE", "2026-01-01", day(0)),
        ("VARCHAR", "text", "text"),
    ],
)
def test_text_becomes_a_value_or_nothing(kind, text, expected):
    assert value(kind, text) == expected


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"event_id": None}, "null:event_id"),
        ({"customer_id": "  "}, "null:customer_id"),
        ({"customer_id": "C 1"}, "pattern:customer_id"),
        ({"ts": "yesterday"}, "type:event_ts"),
        ({"quantity": "two"}, "type:quantity"),
        ({"quantity": "0"}, "range:quantity"),
        ({"quantity": "200000"}, "range:quantity"),
        ({"price": "0"}, "range:price"),
        ({"price": "-1"}, "range:price"),
        ({"event_type": "wishlist"}, "allowed:event_type"),
        ({"product_id": "P9"}, "reference:product_id"),
        ({"price": "501"}, "outlier:price"),
        ({"price": "0.19"}, "outlier:price"),
        ({"ts": "2026-01-02T00:00:00"}, "future"),
    ],
)
def test_each_reason(shop, changes, reason):
    shop.land_events(0, [event("good"), event("bad") | changes])
    assert shop.ingest(0).reasons == {reason: 1}
    assert shop.ids() == ["good"]
    assert shop.bad()[0]["reason"] == reason


@pytest.mark.parametrize(
    "changes",
    [
        {"session_id": None},
        {"country": ""},
        {"price": "499"},
        {"price": "0.21"},
        {"ts": "2026-01-01T23:59:59"},
        {"ts": "2026-01-02T01:00:00+02:00"},
        {"quantity": " 3 "},
    ],
)
def test_what_the_contract_allows(shop, changes):
    shop.land_events(0, [event("a", **changes)])
    assert shop.ingest(0).rows_quarantined == 0


def test_late_rows_are_accepted_up_to_the_limit(shop):
    late = [event("in", ts=f"{day(-3)}T00:00:00"), event("out", ts=f"{day(-4)}T23:59:59")]
    shop.land_events(0, late)
    assert shop.ingest(0).reasons == {"late": 1}
    assert shop.ids() == ["in"]


def test_a_future_tolerance_is_granted(shop):
    shop.source = simulated_shop({"tables": {"events": {"time": {"future_tolerance_minutes": 5}}}})
    shop.land_events(0, [event("in", ts=f"{day(1)}T00:04:59"), event("out", ts=f"{day(1)}T00:05:00")])
    assert shop.ingest(0).reasons == {"future": 1}


def test_a_row_has_all_its_reasons_and_the_first_declared_one_as_its_reason(shop):
    shop.source = simulated_shop({"tables": {"events": {"rules": {"test_order": "customer_id = 'TEST'"}}}})
    shop.land_events(0, [event("a", customer_id="TEST", price="-1", quantity="x", product_id="P9")])
    shop.ingest(0)
    (bad,) = shop.bad()
    assert bad["reasons"] == ["test_order", "type:quantity", "range:price", "reference:product_id"]
    assert bad["reason"] == "test_order"


def test_reasons_are_declared_in_the_order_of_the_contract():
    declared = list(conditions(simulated_shop().tables["events"]))
    assert declared[0] == "unreadable"
    assert declared.index("null:event_id") < declared.index("range:price") < declared.index("late")
    assert declared[-1] == "reference:product_id"


def test_a_product_is_known_from_its_day_on(tmp_path, shop):
    shop.land_products(1, [product("P7", 1)])
    shop.ingest(0, 2, "products")
    for number in range(3):
        shop.land_events(number, [event(f"e{number}", number, product_id="P7")])
    assert shop.ingest(0, 2).reasons == {"reference:product_id": 1}
    assert [len(shop.good(number)) for number in range(3)] == [0, 1, 1]


def test_an_outlier_is_measured_against_the_price_known_that_day(shop):
    shop.land_products(1, [product("P1", 1, price="2000")])
    shop.ingest(0, 2, "products")
    for number in range(3):
        shop.land_events(number, [event(f"e{number}", number, price="1500")])
    assert shop.ingest(0, 2).reasons == {"outlier:price": 1}
    assert shop.ids(0) == []


def test_upstream_days_must_be_there(shop):
    shop.land_events(3, [event("a", 3)])
    with pytest.raises(IngestionError, match="ingest products of 2026-01-04 first"):
        shop.ingest(3)


def single_file(shop):
    events = {"address": "{landing}/all.parquet", "day": "try_cast(ts as date)", "override": False}
    calendar = {"start": day(0), "end": day(2)}
    shop.source = simulated_shop({"tables": {"events": events}, "calendar": calendar})
    return shop


def test_rows_of_one_file_that_belong_to_no_day_are_set_aside_on_the_nearest(shop):
    rows = [event("a"), event("b", 2), event("none", ts="?"), event("before", -5), event("after", 9)]
    write_rows(shop.settings.landing / "all.parquet", rows, EVENT_COLUMNS)
    report = single_file(shop).ingest(0, 2)
    assert [(d.rows_in, d.rows_good) for d in report.days] == [(3, 1), (0, 0), (2, 1)]
    assert report.reasons == {"calendar": 2, "type:event_ts": 1}
    assert [row["reasons"] for row in shop.bad(0)] == [["type:event_ts", "calendar"], ["calendar"]]


def test_a_day_of_never_is_set_aside_on_the_first_day_where_the_calendar_has_no_last(shop):
    events = {"address": "{landing}/events/all.csv", "day": "try_cast(ts as date)"}
    shop.source = simulated_shop({"tables": {"events": events}, "calendar": {"start": day(0), "end": None}})
    rows = [event("a"), event("b", ts="9999-12-31T00:00:00"), event("c", 1, ts="0001-01-01T00:00:00"), event("d", 1)]
    write_rows(shop.settings.landing / "events" / "all.csv", rows, EVENT_COLUMNS)
    report = shop.ingest(0, 1)
    assert (report.rows_in, report.reasons) == (4, {"calendar": 2})
    assert shop.bad(1) == []


@pytest.mark.parametrize("offset", ["+02:00", "Z"])
def test_times_of_which_some_say_their_offset_are_counted_and_said(shop, offset):
    rows = [event(str(n), ts=f"{day(0)}T10:00:00{offset if n % 3 else ''}") for n in range(9)]
    shop.land_events(0, rows)
    report = shop.ingest(0)
    assert report.rows_good == 9
    said = f"3 of 9 times of event_ts do not say their distance from UTC and are taken for UTC, e.g. {day(0)}T10:00:00"
    assert [note.split(";")[0] for note in report.notes] == [said]


def test_times_of_one_sort_need_no_word(shop):
    shop.land_events(0, [event(str(n)) for n in range(3)])
    shop.land_events(1, [event(str(n), ts=f"{day(1)}T10:00:00+01:00") for n in range(3, 6)])
    assert shop.ingest(0).notes == shop.ingest(1).notes == ()
