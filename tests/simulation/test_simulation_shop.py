"""What the shop's history looks like to whoever reads its files."""

from __future__ import annotations

from datetime import timedelta

from ml_assets.simulation import Shop
from ml_assets.simulation.export import EVENT_COLUMNS, PRODUCT_COLUMNS


def test_every_column_is_text(history):
    for files in history[:3]:
        assert tuple(files.events.column_names) == EVENT_COLUMNS
        assert tuple(files.products.column_names) == PRODUCT_COLUMNS
        assert {str(f.type) for f in [*files.events.schema, *files.products.schema]} == {"string"}


def test_the_same_seed_gives_the_same_days(spec, history):
    shop = Shop(spec)
    for files in history[:4]:
        assert shop.day(files.day).events.equals(files.events)


def test_a_day_does_not_depend_on_which_days_were_asked_for(spec, history):
    shop = Shop(spec)
    for number in (9, 2, 3, 30, 9):
        again = shop.day(spec.start + timedelta(days=number))
        assert again.events.equals(history[number].events)
        assert again.products.equals(history[number].products)
        assert again.faults.equals(history[number].faults)


def test_another_seed_gives_another_shop(spec, history):
    other = Shop(spec.model_copy(update={"seed": 8})).day(spec.start)
    assert not other.events.equals(history[0].events)


def test_the_volume_is_what_the_spec_asks_for(spec, history):
    mean = sum(f.events.num_rows for f in history) / len(history)
    assert 0.8 * spec.events_per_day < mean < 1.25 * spec.events_per_day


def test_views_lead_to_carts_and_carts_to_purchases(history, clean_rows):
    """Every purchase was in the cart and every cart was looked at before, in the same visit."""
    database = clean_rows(history[:10])
    counts = dict(database.execute("select event_type, count(*) from e group by 1").fetchall())
    assert counts["view"] > 2 * counts["cart"] > 2 * counts["purchase"] > 0
    before = {"cart": "view", "purchase": "cart"}
    for later, earlier in before.items():
        share = database.execute(
            """select avg((exists (select 1 from e as x where x.session_id = e.session_id
                   and x.product_id = e.product_id and x.event_type = $earlier and x.ts <= e.ts))::int)
               from e where event_type = $later and session_id is not null and event_day > '2026-01-04'""",
            {"earlier": earlier, "later": later},
        ).fetchone()[0]
        assert share > 0.97  # the rest: its view was damaged, or is still under way


def test_popularity_is_zipf_like(history, clean_rows):
    slope, top = (
        clean_rows(history)
        .execute(
            """with counts as (select count(*) as n from e where event_type = 'purchase' group by product_id),
           ranks as (select n, row_number() over (order by n desc) as r from counts)
           select regr_slope(ln(n), ln(r)), sum(n) filter (r <= 12) / sum(n) from ranks"""
        )
        .fetchone()
    )
    assert -1.6 < slope < -0.5
    assert top > 0.2


def test_weekends_are_busier_and_evenings_busier_than_nights(history, clean_rows):
    database = clean_rows(history)
    saturday, tuesday = database.execute(
        """select count(*) filter (isodow(ts) = 6), count(*) filter (isodow(ts) = 2) from e"""
    ).fetchone()
    evening, night = database.execute(
        "select count(*) filter (hour(ts) = 20), count(*) filter (hour(ts) = 3) from e"
    ).fetchone()
    assert saturday > 1.1 * tuesday
    assert evening > 5 * night


def test_customers_buy_again_in_cycles(history, clean_rows):
    database = clean_rows(history)
    repeated = database.execute(
        """with lines as (select event_day, row_number() over (
               partition by customer_id, product_id order by ts) > 1 as again
               from e where event_type = 'purchase')
           select avg(again::int) from lines where event_day >= '2026-01-22'"""
    ).fetchone()[0]
    assert 0.25 < repeated < 0.75


def test_a_few_events_arrive_one_to_three_days_late(spec, history, clean_rows):
    delays = dict(
        clean_rows(history).execute("select event_day - ts::date as delay, count(*) from e group by 1").fetchall()
    )
    late = sum(count for delay, count in delays.items() if delay)
    assert set(delays) == {0, 1, 2, 3}
    assert 0.6 < late / sum(delays.values()) / spec.late_share < 1.5


def test_event_ids_are_unique_across_days(history, clean_rows):
    total, distinct = clean_rows(history).execute("select count(*), count(distinct event_id) from e").fetchone()
    assert total == distinct


def test_clean_rows_lie_within_what_a_contract_may_ask(history, clean_rows):
    low, high, least, most = (
        clean_rows(history).execute("select min(price), max(price), min(quantity), max(quantity) from e").fetchone()
    )
    assert 0 < low < high < 2_000
    assert (least, most <= 12) == (1, True)


def test_every_product_that_is_looked_at_was_announced_before(history, clean_rows):
    unknown = clean_rows(history).execute(
        """select count(*) from e where not exists (
               select 1 from p where p.product_id = e.product_id and p.event_day <= e.event_day)"""
    )
    assert unknown.fetchone()[0] == 0


def test_the_catalogue_lists_everything_once_and_then_only_changes(spec, history, clean_rows):
    database = clean_rows(history)
    first = database.execute("select count(*) from p where event_day = '2026-01-01'").fetchone()[0]
    later = database.execute(
        """select count(*) filter (seen = 0), count(*) filter (available = 'false'),
               count(*) filter (seen > 0 and available = 'true')
           from (select available, (select count(*) from p as x
                     where x.product_id = p.product_id and x.event_day < p.event_day) as seen
                 from p where event_day > '2026-01-01')"""
    )
    launches, retirements, prices = later.fetchone()
    assert 0.75 * spec.products < first < spec.products
    assert launches > 0 and retirements > 0 and prices > launches


def test_events_carry_the_price_of_the_day(history, clean_rows):
    wrong = clean_rows(history).execute(
        """select count(*) from e asof join p on p.product_id = e.product_id
               and p.changed_at::timestamp <= e.ts where p.price <> e.price"""
    )
    assert wrong.fetchone()[0] == 0


def test_some_sessions_and_countries_are_not_reported(history, clean_rows):
    sessions, countries, known = (
        clean_rows(history)
        .execute(
            "select count(*) filter (session_id is null), count(*) filter (country is null), "
            "count(distinct country) from e"
        )
        .fetchone()
    )
    assert sessions > 0 and countries > 0 and known == 6
