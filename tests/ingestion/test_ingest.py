"""A range of days from raw files to the lake."""

import json

import duckdb
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tiny_shop import EVENT_COLUMNS, at, day, event, simulated_shop, tiny_shop, write_rows

from ml_assets.ingestion import ingest as module
from ml_assets.ingestion.audit import count_rows
from ml_assets.ingestion.ingest import ingest
from ml_assets.ingestion.parts import QUARANTINE

DAYS = 3


def test_rows_arrive_typed_and_sorted_in_hive_partitions(shop):
    rows = [
        event("b", ts=f"{day(0)}T10:00:00"),
        event("a", ts=f"{day(0)}T10:00:00"),
        event("c", ts=f"{day(-1)}T09:00:00"),
    ]
    shop.land_events(0, rows)
    shop.ingest(0)
    assert shop.ids() == ["c", "a", "b"]
    assert shop.good()[1] == {
        "event_id": "a", "event_ts": at(0), "customer_id": "C1", "product_id": "P1", "event_type": "view",
        "session_id": "S1", "quantity": 1, "price": 10.0, "country": "GB",
    }  # fmt: skip
    lake = shop.settings.lake
    query = f"select event_day, count(*) from '{lake}/events/event_day=*/part.parquet' group by 1"
    assert duckdb.sql(query).fetchall() == [(day(0), 3)]
    assert pq.read_schema(shop.part(0, "events_quarantine")).equals(QUARANTINE)


def test_the_raw_row_is_kept_as_it_was(shop):
    shop.land_events(0, [event("a", price=" 1,5 ", country=None)])
    shop.ingest(0)
    assert json.loads(shop.bad()[0]["raw"]) == event("a", price=" 1,5 ", country=None)


def dirty_days(shop):
    for number in range(DAYS):
        rows = [event(f"{number}-{n}", number, price=str(n % 7), quantity=str(n % 5)) for n in range(40)]
        shop.land_events(number, [*rows, *rows[:5], event(None, number), event("x", number, ts="?")])


def parts(shop):
    return {name: content for name, content in shop.files().items() if name.startswith("events")}


def test_the_same_range_twice_gives_the_same_bytes(shop):
    dirty_days(shop)
    shop.ingest(0, 2)
    first = parts(shop)
    shop.ingest(0, 2)
    assert parts(shop) == first


@pytest.mark.parametrize("chunk_rows", [1, 60])
def test_day_by_day_in_chunks_and_in_one_range_give_the_same_bytes(shop, tmp_path, monkeypatch, chunk_rows):
    dirty_days(shop)
    shop.ingest(0, 2)
    whole = parts(shop)
    for number in (2, 0, 1):
        shop.ingest(number)
    assert parts(shop) == whole
    monkeypatch.setattr(module, "CHUNK_ROWS", chunk_rows)
    shop.ingest(0, 2)
    assert parts(shop) == whole


def test_another_home_and_more_threads_give_the_same_bytes(shop, tmp_path):
    other = tiny_shop(tmp_path / "elsewhere")
    other.settings = other.settings.model_copy(update={"threads": 2})
    other.open_days(DAYS)
    for each in (shop, other):
        dirty_days(each)
        each.ingest(0, 2)
    assert parts(other) == parts(shop)


def test_days_whose_files_differ_in_columns_do_not_touch_each_other(shop):
    shop.land_events(0, [event("a", price="x")])
    shop.land_events(1, [event("b", 1, price="x", colour="red")], [*EVENT_COLUMNS, "colour"])
    shop.land_events(2, [])
    shop.ingest(0, 2)
    whole = parts(shop)
    assert "colour" not in shop.bad(0)[0]["raw"]
    for number in range(DAYS):
        shop.ingest(number)
    assert parts(shop) == whole


def test_one_file_day_by_day_gives_the_same_bytes(shop):
    rows = [event(f"{number}-{n}", number, price=str(n)) for n in range(9) for number in range(DAYS)]
    write_rows(shop.settings.landing / "all.csv", [*rows, event("x", ts="?")], EVENT_COLUMNS)
    events = {"address": "{landing}/all.csv", "day": "try_cast(ts as date)"}
    shop.source = simulated_shop({"tables": {"events": events}, "calendar": {"start": day(0), "end": day(2)}})
    report = shop.ingest(0, 2)
    whole = parts(shop)
    single = [shop.ingest(number) for number in range(DAYS)]
    assert parts(shop) == whole
    assert tuple(each.days[0] for each in single) == report.days


def test_derived_rows_are_checked_like_any_other(shop):
    derive = (
        "select _source, _day, max(_row) as _row, null as _line, product_id, "
        "max(price) as price, max(ts) as ts from raw group by _source, _day, product_id"
    )
    columns = {"event_id": "product_id", "customer_id": "'C1'", "event_type": "'view'", "session_id": "null",
               "quantity": "1", "country": "null"}  # fmt: skip
    shop.source = simulated_shop({"tables": {"events": {"derive": derive, "columns": columns}}})
    shop.land_events(0, [event("a", price="1.00"), event("b", price="3.00"), event("c", product_id="P9")])
    report = shop.ingest(0)
    assert (report.rows_in, report.reasons) == (2, {"reference:product_id": 1})
    assert [(row["event_id"], row["price"]) for row in shop.good()] == [("P1", 3.0)]


def test_progress_is_told(shop):
    told = []
    shop.land_events(0, [event("a")])
    ingest(shop.source, "events", shop.settings, day(0), day(0), progress=told.append)
    assert told[-1] == "events: 1 of 1 rows published for 1 of 1 days"


def mostly(good, *odd):
    return st.one_of(st.just(good), st.sampled_from(odd))


TEXTS = (None, "", " ", "?", "-1", "0", "1e9", "nan", "é", "x" * 70)
dirty_row = st.fixed_dictionaries(
    {
        "event_id": mostly("a", "b", "c", "d", *TEXTS),
        "ts": mostly(f"{day(1)}T10:00:00", f"{day(0)}", f"{day(-9)}", f"{day(2)}", "2026-01-02T23:30:00-01:00", *TEXTS),
        "customer_id": mostly("C1", *TEXTS),
        "product_id": mostly("P1", "P2", "P9", *TEXTS),
        "event_type": mostly("view", "cart", "purchase", "refund", *TEXTS),
        "session_id": mostly("S1", *TEXTS),
        "quantity": mostly("1", "1.5", "100001", *TEXTS),
        "price": mostly("2.00", "9999", "0.001", *TEXTS),
        "country": mostly("GB", *TEXTS),
    }
)


@hypothesis_settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(dirty_row, max_size=30), suffix=st.sampled_from([".parquet", ".csv", ".jsonl"]))
def test_in_is_good_plus_quarantined_and_good_rows_meet_the_contract(tmp_path_factory, rows, suffix):
    shop = tiny_shop(tmp_path_factory.mktemp("shop"), suffix=suffix)
    shop.source = simulated_shop({"tables": {"events": {"address": f"{{landing}}/events/{{day}}{suffix}"}}})
    shop.open_days(2)
    shop.land_events(1, rows)
    report = shop.ingest(1)
    good, bad = shop.good(1), shop.bad(1)
    assert report.rows_in == len(rows) == len(good) + len(bad)
    assert count_rows(shop.settings.lake, "events", [day(1)]) == (len(good), len(bad))
    assert all(row["reason"] == row["reasons"][0] for row in bad)
    assert len({row["event_id"] for row in good}) == len(good)
    for row in good:
        assert None not in {row[name] for name in row if name not in {"session_id", "country"}}
        assert at(-2, "00:00:00") <= row["event_ts"] < at(2, "00:00:00")
        assert row["product_id"] in {"P1", "P2"}
        assert row["event_type"] in {"view", "cart", "purchase"}
        assert 1 <= row["quantity"] <= 100_000
        listed = {"P1": 10.0, "P2": 2.0}[row["product_id"]]
        assert listed / 50 <= row["price"] <= listed * 50
