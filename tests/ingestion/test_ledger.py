"""What was made from what, and which days must be made again."""

from datetime import timedelta

import pytest
from tiny_shop import EVENT_COLUMNS, day, event, simulated_shop, write_rows

from ml_assets.config.ingestion_error import IngestionError
from ml_assets.ingestion.days.ledger import changed_days, ledger_path, read_ledger, read_report
from ml_assets.storage.files import sha256_file


@pytest.fixture
def filled(shop):
    for number in range(3):
        shop.land_events(number, [event(f"{number}", number), event("bad", number, price="x")])
    return shop


def changed(shop):
    return [(found - day(0)).days for found in changed_days(shop.source, "events", shop.settings, day(0), day(2))]


def test_a_day_is_recorded_with_its_sources_and_counts(filled):
    report = filled.ingest(0, 2)
    entry = read_ledger(filled.settings.lake, "events")[day(1)]
    path = filled.settings.landing / "events" / "2026-01-02.parquet"
    assert entry.sources == {"2026-01-02.parquet": sha256_file(path)}
    assert entry.published == sha256_file(filled.part(1))
    assert entry.report == report.days[1]
    assert (entry.report.rows_in, entry.report.reasons) == (2, {"type:price": 1})


def test_the_report_can_be_read_back(filled):
    assert read_report(filled.settings.lake, "products", day(0), day(2)).rows_good == 2
    report = filled.ingest(0, 2)
    assert read_report(filled.settings.lake, "events", day(0), day(2)) == report
    assert read_report(filled.settings.lake, "events", day(0), day(3)) == report, "as far as there are days"
    with pytest.raises(IngestionError, match="ingest 2026-01-04 to 2026-01-05"):
        read_report(filled.settings.lake, "events", day(3), day(4))


def test_unchanged_days_are_known(filled):
    assert changed(filled) == [0, 1, 2]
    filled.ingest(0, 1)
    assert changed(filled) == [2]
    filled.ingest(2)
    assert changed(filled) == []


def test_a_new_file_a_lost_part_and_a_new_contract_are_changes(filled):
    filled.ingest(0, 2)
    filled.land_events(1, [event("corrected", 1)])
    assert changed(filled) == [1]
    filled.part(2).unlink()
    assert changed(filled) == [1, 2]
    filled.source = simulated_shop({"tables": {"events": {"columns": {"price": {"max": 1000}}}}})
    assert changed(filled) == [0, 1, 2]


def test_one_file_for_all_days_changes_them_all(shop):
    path = shop.settings.landing / "all.csv"
    rows = [event("a"), event("b", 1)]
    write_rows(path, rows, EVENT_COLUMNS)
    events = {"address": "{landing}/all.csv", "day": "try_cast(ts as date)"}
    shop.source = simulated_shop({"tables": {"events": events}, "calendar": {"start": day(0), "end": day(2)}})
    shop.ingest(0, 2)
    assert changed(shop) == []
    write_rows(path, [*rows, event("c", 2)], EVENT_COLUMNS)
    assert changed(shop) == [0, 1, 2]


def test_a_torn_line_costs_only_itself(filled):
    filled.ingest(0)
    path = ledger_path(filled.settings.lake, "events")
    with path.open("a") as opened:
        opened.write('{"day": "2026-01-02", "sour')
    filled.ingest(2)
    assert list(read_ledger(filled.settings.lake, "events")) == [day(0), day(2)]


def test_a_range_outside_the_calendar_is_refused(shop):
    with pytest.raises(IngestionError, match="not within the calendar"):
        shop.ingest(-1, 0)
    with pytest.raises(IngestionError, match="not within the calendar"):
        shop.ingest(1, 0)
    assert day(1) - day(0) == timedelta(days=1)
