"""Which days of its calendar a table has."""

from tiny_shop import EVENT_COLUMNS, day, event, simulated_shop, write_rows

from ml_assets.ingestion.days.gaps import gaps


def found(shop, until):
    return gaps(shop.source, "events", shop.settings, day(until))


def in_one_file(shop, numbers, until):
    rows = [event(f"e{n}", n) for n in numbers]
    write_rows(shop.settings.landing / "all.csv", rows, EVENT_COLUMNS)
    events = {"address": "{landing}/*.csv", "day": "try_cast(ts as date)", "references": {}, "outliers": {}}
    shop.source = simulated_shop({"tables": {"events": events}, "calendar": {"end": day(until)}})
    shop.source = shop.source.model_copy(
        update={
            "tables": {"events": shop.source.tables["events"].model_copy(update={"references": {}, "outliers": {}})}
        }
    )
    shop.ingest(0, until)
    return found(shop, until)


def test_days_that_a_glob_lacks_are_a_finding(shop):
    there = [n for n in range(28) if n not in {3, 4, 5, 17}]
    gap = in_one_file(shop, there, 27)
    assert gap.days == (day(3), day(4), day(5), day(17))
    assert (gap.there, gap.text) == (
        24,
        "events has 24 of the 28 days from 2026-01-01 to 2026-01-28; "
        "4 are missing: 2026-01-04 to 2026-01-06, 2026-01-18",
    )


def test_a_weekday_on_which_nothing_ever_happens_is_no_gap(shop):
    gap = in_one_file(shop, [n for n in range(28) if day(n).weekday() != 6], 27)
    assert gap.days == ()


def test_an_empty_file_of_a_day_says_that_nothing_happened(shop):
    shop.land_events(0, [event("a")])
    shop.land_events(1, [])
    shop.ingest(0, 1)
    assert found(shop, 1).days == ()


def test_a_day_that_was_never_ingested_is_a_gap(shop):
    for number in (0, 2):
        shop.land_events(number, [event(f"e{number}", number)])
        shop.ingest(number)
    assert found(shop, 2).days == (day(1),)
