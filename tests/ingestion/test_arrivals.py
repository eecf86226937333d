"""Which days can be ingested now, and what the source says of its backlog."""

import os
import shutil
from datetime import date

import pytest
from tiny_shop import day, event, product, simulated_shop

from ml_assets.config.ingestion_error import IngestionError
from ml_assets.ingestion.connectors import landed
from ml_assets.ingestion.days import standing
from ml_assets.ingestion.days.arrivals import arrivals


def delivered(shop, end=None):
    """The shop without the simulated world: files are delivered by somebody."""
    shop.source = simulated_shop().model_copy(update={"simulation": None})
    calendar = shop.source.calendar.model_copy(update={"end": end})
    shop.source = shop.source.model_copy(update={"calendar": calendar})
    return shop


def deliver(shop, *numbers):
    for number in numbers:
        shop.land_products(number, [product("P1", number)])
        shop.land_events(number, [event(f"e{number}", number)])


def test_days_that_are_there_are_asked_for_up_to_one_that_cannot_be_checked(shop):
    shop = delivered(shop)
    deliver(shop, 0, 1, 2, 4)
    found = arrivals(shop.source, shop.settings, day(6))
    assert (found.days, found.waiting) == ((day(0), day(2)), True)
    assert "waiting for 2026-01-04, 2026-01-06; 1 later day (2026-01-05 to 2026-01-05) there" in found.why


def test_the_backlog_is_one_line_newest_waiting_and_why(shop):
    shop = delivered(shop)
    deliver(shop, 0, 1, 2)
    ingest_all(shop, 2)
    deliver(shop, 4, 5)
    found = arrivals(shop.source, shop.settings, day(6))
    assert (found.days, found.waiting) == (None, True)
    assert found.why.startswith(
        "everything up to 2026-01-03 is in the lake; waiting for 2026-01-04; 2 later days (2026-01-05 to "
        "2026-01-06) there, checked against it; "
    )
    assert "no file for" in found.why
    assert "deliver it" in found.why
    assert "\n" not in found.why


def test_a_day_one_table_lacks_is_not_there_whichever_table_it_is(shop):
    shop = delivered(shop)
    deliver(shop, 0, 1, 2)
    shop.land_events(3, [event("e3", 3)])
    assert arrivals(shop.source, shop.settings, day(5)).days == (day(0), day(2))


def ingest_all(shop, last):
    shop.ingest(0, last, "products")
    shop.ingest(0, last)


def test_a_day_that_nothing_is_checked_against_holds_back_no_later_one(shop):
    shop = delivered(shop)
    deliver(shop, 0, 1, 3)
    shop.land_products(2, [])
    found = arrivals(shop.source, shop.settings, day(5))
    assert (found.days, found.waiting) == ((day(0), day(3)), True)
    ingest_all(shop, 3)
    found = arrivals(shop.source, shop.settings, day(5))
    assert (found.days, found.waiting) == (None, True)
    assert found.why.startswith("everything up to 2026-01-04 is in the lake; waiting for 2026-01-03, 2026-01-05; ")
    assert "events/2026-01-03.parquet: no file for events of 2026-01-03; deliver it" in found.why
    shop.land_events(2, [event("e2", 2)])
    assert arrivals(shop.source, shop.settings, day(5)).days == (day(2), day(3))


def test_a_folder_that_nothing_ever_came_to_is_said(shop):
    shop = delivered(shop)
    shutil.rmtree(shop.settings.landing)
    shutil.rmtree(shop.settings.lake)
    found = arrivals(shop.source, shop.settings, day(5))
    assert (found.days, found.waiting) == (None, True)
    assert found.why.startswith("nothing is in the lake; nothing has arrived; waiting for 2026-01-01; ")
    assert "/2026-01-01.parquet: no file for " in found.why


def test_a_refused_file_is_named_and_not_tried_again_until_it_is_another(shop):
    shop = delivered(shop)
    deliver(shop, 0, 1, 2)
    broken = shop.settings.landing / "events" / f"{day(1)}.parquet"
    whole = broken.read_bytes()
    broken.write_bytes(b"")
    ingest_all(shop, 2)
    assert shop.part(2).exists()
    assert not shop.part(1).exists()
    found = arrivals(shop.source, shop.settings, day(3))
    assert (found.days, found.waiting) == (None, True)
    assert "failed: 2026-01-02: " in found.why
    assert f"{broken}: the file is empty (0 bytes); deliver the file again" in found.why
    broken.write_bytes(whole)
    assert arrivals(shop.source, shop.settings, day(3)).days == (day(1), day(2))


def test_a_day_mostly_in_quarantine_holds_back_no_other(shop):
    shop = delivered(shop)
    limit = shop.source.tables["events"].quarantine_min_rows
    deliver(shop, 0, 2)
    shop.land_products(1, [])
    shop.land_events(1, [event(f"bad{at}", 1, price="x") for at in range(limit)])
    ingest_all(shop, 2)
    shop.made(0, 0)
    found = arrivals(shop.source, shop.settings, day(3))
    assert found.days == (day(2), day(2))
    assert "nothing is made of 2026-01-02: 100.00% of events is in quarantine" in found.why
    shop.made(2, 2)
    assert arrivals(shop.source, shop.settings, day(3)).days is None


def test_a_correction_of_any_age_is_found(shop):
    shop = delivered(shop)
    deliver(shop, *range(40))
    ingest_all(shop, 39)
    shop.land_events(1, [event("other", 1)])
    assert arrivals(shop.source, shop.settings, day(40)).days == (day(1), day(39))
    ingest_all(shop, 39)
    assert arrivals(shop.source, shop.settings, day(40)).days is None


def test_a_correction_of_the_same_size_and_time_is_found(shop):
    shop = delivered(shop)
    deliver(shop, 0, 1)
    ingest_all(shop, 1)
    path = shop.settings.landing / "events" / f"{day(0)}.parquet"
    before, content = path.stat(), path.read_bytes()
    path.write_bytes(content.replace(b"e0", b"f0"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert arrivals(shop.source, shop.settings, day(2)).days == (day(0), day(1))


def test_what_nobody_touched_is_not_read_again(shop, monkeypatch):
    shop = delivered(shop)
    deliver(shop, 0, 1, 2)
    ingest_all(shop, 2)
    monkeypatch.setattr(standing, "changed_days", None)
    monkeypatch.setattr(landed, "sha256_file", None)
    assert arrivals(shop.source, shop.settings, day(3)).days is None


def test_a_file_that_was_put_away_is_not_missed(shop):
    shop = delivered(shop)
    deliver(shop, 0, 1, 2)
    ingest_all(shop, 2)
    shutil.rmtree(shop.settings.landing)
    assert arrivals(shop.source, shop.settings, day(3)).why == "everything up to 2026-01-03 is in the lake"
    with pytest.raises(IngestionError, match="no file for events of 2026-01-02"):
        shop.ingest(1)
    assert shop.ids(1) == ["e1"]


def test_late_rows_are_taken_after_the_calendar_has_ended(shop):
    shop = delivered(shop, end=day(1))
    deliver(shop, 0, 1)
    ingest_all(shop, 1)
    assert "calendar ended" in arrivals(shop.source, shop.settings, date(2027, 1, 1)).why
    shop.land_events(0, [event("other")])
    assert arrivals(shop.source, shop.settings, date(2027, 1, 1)).days == (day(0), day(1))


def test_the_mark_changes_when_something_arrives_and_only_then(shop):
    shop = delivered(shop)
    deliver(shop, 0)
    first = arrivals(shop.source, shop.settings, day(3)).mark
    assert arrivals(shop.source, shop.settings, day(3)).mark == first
    deliver(shop, 1)
    assert arrivals(shop.source, shop.settings, day(3)).mark != first
