"""Days that look broken are told from days that look different."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_shop import TinyShop, day, simulated_shop, tiny_shop

from ml_assets.config.ingestion_error import IngestionError
from ml_assets.config.settings import PROJECT
from ml_assets.config.source_spec import load_source
from ml_assets.ingestion.ingest import ingest
from ml_assets.ingestion.traffic import comparable, judge, traffic
from ml_assets.simulation import Scenario, SimulationSpec, write_days

TODAY = 28


def table(**bars):
    return simulated_shop({"tables": {"events": {"traffic": bars}}}).table("events")


def counts(rows=3000, carts=300, missing=15, bad=15, duplicates=3):
    return {
        "rows": rows, "event_type=cart": carts, "country missing": missing, "quarantined": bad,
        "duplicates": duplicates,
    }  # fmt: skip


def judged(today, past=None, **bars):
    """The verdict on the 28th day after four weeks of days, the same ones unless told otherwise."""
    days = {each: counts() for each in comparable(day(TODAY))} | (past or {})
    return judge(table(**bars), day(TODAY), {day(TODAY): today, **days})


def names(report):
    return {finding.name for finding in report.findings}


def test_a_day_is_compared_with_two_weeks_and_with_its_weekdays():
    days = comparable(day(TODAY))
    assert [(day(TODAY) - each).days for each in days] == [*range(1, 15), 21, 28]


@pytest.mark.parametrize(
    ("today", "found"),
    [
        (counts(), set()),
        (counts(rows=1800, carts=180), set()),  # a quiet day is another day
        (counts(rows=1200, carts=120), {"rows"}),
        (counts(rows=7000, carts=700), {"rows"}),
        (counts(carts=60), {"event_type=cart"}),
        (counts(carts=180), set()),  # what a change of mind does
        (counts(missing=2000), {"country missing"}),
        (counts(missing=120), set()),  # too little to matter
        (counts(bad=600, duplicates=3), {"quarantined"}),
        (counts(bad=600, duplicates=570), {"quarantined", "duplicates"}),
        (counts(bad=0, duplicates=0), set()),
    ],
)
def test_what_is_broken_and_what_is_not(today, found):
    report = judged(today)
    assert names(report) == found
    assert report.ok == (not found)
    assert (report.state, report.compared) == ("judged", 16)


def test_fewer_bad_rows_than_ever_are_no_finding():
    past = {each: counts(bad=1500, duplicates=1200) for each in comparable(day(TODAY))}
    assert judged(counts(bad=0, duplicates=0), past).ok


def test_a_closed_weekday_may_be_empty_and_an_open_one_may_not():
    closed = {each: counts(0, 0, 0, 0, 0) for each in comparable(day(TODAY)) if each.weekday() == day(TODAY).weekday()}
    assert judged(counts(0, 0, 0, 0, 0), closed).state == "too few rows"
    assert names(judged(counts(0, 0, 0, 0, 0))) == {"rows"}


def test_what_always_differs_on_this_weekday_is_no_finding():
    sundays = {
        each: counts(rows=600, carts=450) for each in comparable(day(TODAY)) if each.weekday() == day(TODAY).weekday()
    }
    assert judged(counts(rows=600, carts=450), sundays).ok
    assert names(judged(counts(rows=600, carts=450))) == {"rows", "event_type=cart"}


def test_a_shop_whose_shares_swing_is_given_more_room():
    swinging = {each: counts(carts=60 + 120 * (n % 5)) for n, each in enumerate(comparable(day(TODAY)))}
    assert judged(counts(carts=700)).findings
    assert judged(counts(carts=700), swinging).ok


@pytest.mark.parametrize("bad_days", [1, 4, 7])
def test_bad_days_do_not_make_the_next_one_good(bad_days):
    broken = counts(carts=30, missing=2400)
    past = {day(TODAY - n): broken for n in range(1, bad_days + 1)}
    assert names(judged(broken, past)) == {"event_type=cart", "country missing"}


def test_without_history_nothing_is_said_against_a_day():
    days = {day(TODAY - n): counts() for n in range(1, 7)}
    report = judge(table(), day(TODAY), {day(TODAY): counts(missing=2700), **days})
    assert (report.ok, report.state, report.measures) == (True, "no history yet", ())
    assert "6 days before it and 7 needed" in report.text


def test_wider_bars_let_more_pass():
    today = counts(rows=1200, carts=6, missing=300)
    assert names(judged(today)) == {"rows", "event_type=cart", "country missing"}
    assert names(judged(today, volume=3)) == {"event_type=cart", "country missing"}
    assert names(judged(today, volume=None, shift=0.2)) == {"country missing"}
    assert judged(today, volume=None, shift=0.2, factor=100).ok
    assert judged(today, min_rows=5000).state == "too few rows"


def test_the_text_says_what_was_and_what_is_usual():
    assert judged(counts(carts=30)).text == f"events of {day(TODAY)}: event_type=cart 1.0%, usually 10.0%"
    assert judged(counts()).text == f"events of {day(TODAY)}: 5 figures like those of 16 days before"


sizes = st.integers(1, 100_000)


@given(rows=sizes, shares=st.tuples(*[st.floats(0, 1)] * 3))
def test_a_day_like_every_other_is_never_broken(rows, shares):
    same = counts(rows, *(round(rows * share) for share in shares))
    assert judged(same, dict.fromkeys(comparable(day(TODAY)), same)).ok


@given(
    past=st.lists(st.tuples(sizes, st.floats(0, 1)), min_size=7, max_size=16), today=st.tuples(sizes, st.floats(0, 1))
)
def test_any_history_gives_a_verdict_with_chances(past, today):
    def one(pair):
        return counts(pair[0], round(pair[0] * pair[1]), 0, 0, 0)

    days = {each: one(pair) for each, pair in zip(comparable(day(TODAY)), past, strict=False)}
    report = judge(table(), day(TODAY), {day(TODAY): one(today), **days})
    assert all(0 <= measure.chance <= 1 for measure in report.measures)
    assert report.ok == (not report.findings)


SHOP = SimulationSpec(
    start=day(0), customers=1500, products=200, categories=10, events_per_day=1000.0, dirty_share=0.02
)
CHANGE = 10


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """A function: the lake of a simulated shop up to the second day after a scenario."""

    def build(scenario) -> TinyShop:
        shop = tiny_shop(tmp_path_factory.mktemp(scenario) / "home")
        spec = SHOP.model_copy(update={"scenario": Scenario(name=scenario, day=day(CHANGE))})
        write_days(spec, shop.settings.landing, day(0), day(CHANGE + 1))
        for name in ("products", "events"):
            ingest(shop.source, name, shop.settings, day(0), day(CHANGE + 1))
        return shop

    return build


def test_a_broken_tracker_is_found_on_its_first_day(live):
    shop = live("tracking_bug")
    before, first = (traffic(shop.settings, shop.source, "events", day(n)) for n in (CHANGE - 1, CHANGE))
    assert (before.ok, before.state) == (True, "judged")
    assert {"session_id missing", "country missing"} <= names(first)
    assert {measure.name for measure in first.measures} == {
        "rows", "event_type=view", "event_type=cart", "event_type=purchase", "session_id missing", "country missing",
        "quarantined", "duplicates",
    }  # fmt: skip
    assert traffic(shop.settings, shop.source, "events", day(2)).state == "no history yet"


def test_another_price_level_is_not_broken(live):
    shop = live("price_shock")
    for name in ("events", "products"):
        assert traffic(shop.settings, shop.source, name, day(CHANGE)).ok


def test_rows_sent_twice_are_found(live):
    import pyarrow as pa
    import pyarrow.parquet as pq

    shop = live("new_category")
    file = shop.settings.landing / "events" / f"{day(CHANGE)}.parquet"
    rows = pq.read_table(file)
    pq.write_table(pa.concat_tables([rows, rows.slice(0, len(rows) // 2)]), file)
    shop.ingest(CHANGE)
    assert names(traffic(shop.settings, shop.source, "events", day(CHANGE))) == {"quarantined", "duplicates"}


def test_a_day_that_was_never_ingested_is_refused(shop):
    with pytest.raises(IngestionError, match="never ingested"):
        traffic(shop.settings, shop.source, "products", day(0) + timedelta(days=90))


def test_a_table_may_switch_it_off(shop):
    source = simulated_shop({"tables": {"products": {"traffic": {"enabled": False}}}})
    assert traffic(shop.settings, source, "products", day(0)).state == "switched off"


def test_how_days_are_compared_is_no_part_of_the_contract_of_rows():
    assert table(shift=0.5).fingerprint == table().fingerprint


@pytest.mark.parametrize("name", ["simulated", "online_retail"])
def test_a_price_round_announces_every_product_and_is_not_judged_by_volume(name):
    source = load_source(PROJECT / "shops" / f"{name}.yaml")
    assert source.table("products").traffic.volume is None
