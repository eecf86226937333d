"""Which days can be ingested now, and what stands for what has arrived."""

from datetime import date

from tiny_shop import day, event, product, simulated_shop

from ml_assets.ingestion.arrivals import arrivals, signature


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


def test_days_that_are_there_are_asked_for_up_to_the_first_that_is_not(shop):
    shop = delivered(shop)
    deliver(shop, 0, 1, 3)
    found = arrivals(shop.source, shop.settings, day(5))
    assert (found.days, found.waiting) == ((day(0), day(1)), True)
    assert "waiting for 2026-01-03" in found.why


def test_a_day_one_table_lacks_is_not_there_whichever_table_it_is(shop):
    shop = delivered(shop)
    deliver(shop, 0, 1)
    shop.land_events(2, [event("e2", 2)])
    (shop.settings.landing / "products" / f"{day(2)}.parquet").unlink()
    assert arrivals(shop.source, shop.settings, day(5)).days == (day(0), day(1))


def ingest_all(shop, last):
    shop.ingest(0, last, "products")
    shop.ingest(0, last)


def test_a_change_further_back_is_found_when_one_says_since_when(shop):
    shop = delivered(shop)
    deliver(shop, *range(12))
    ingest_all(shop, 11)
    shop.land_events(1, [event("other", 1)])
    assert arrivals(shop.source, shop.settings, day(12)).days is None
    assert arrivals(shop.source, shop.settings, day(12), since=day(1)).days == (day(1), day(11))


def test_late_rows_are_taken_after_the_calendar_has_ended(shop):
    shop = delivered(shop, end=day(1))
    deliver(shop, 0, 1)
    ingest_all(shop, 1)
    shop.land_events(0, [event("other")])
    assert "calendar ended" in arrivals(shop.source, shop.settings, date(2027, 1, 1)).why
    assert arrivals(shop.source, shop.settings, date(2027, 1, 1), since=day(0)).days == (day(0), day(1))


def test_the_signature_changes_when_something_arrives_and_only_then(shop):
    shop = delivered(shop)
    deliver(shop, 0)
    first = signature(shop.source, shop.settings, day(3))
    assert signature(shop.source, shop.settings, day(3)) == first
    deliver(shop, 1)
    second = signature(shop.source, shop.settings, day(3))
    assert second != first
    shop.land_events(1, [event("another", 1), event("one", 1)])
    third = signature(shop.source, shop.settings, day(3))
    assert (third["products"], third["events"] != second["events"]) == (second["products"], True)
