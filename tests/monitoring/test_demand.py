"""What customers look at and buy, by category, read from the warehouse."""

from datetime import date, timedelta

import duckdb
import numpy as np
import pytest
from drift_days import nth, publish_booster, spec_with, write_day

from ml_assets.config.settings import Settings
from ml_assets.monitoring.drift.daily import drift
from ml_assets.monitoring.drift.demand import DEMAND, demand
from ml_assets.monitoring.drift.psi import measure
from ml_assets.monitoring.drift.windows import Days, compared_with

FIRST = date(2026, 3, 2)
REFERENCE = 10
CATEGORIES = ("bread", "cheese", "wine")


def days(judged=2):
    listed = [FIRST + timedelta(days=number) for number in range(REFERENCE + judged)]
    return Days(tuple(listed[REFERENCE:]), tuple(listed[:REFERENCE]), ())


def build(settings: Settings, changed: str = "") -> None:
    """A warehouse of 3,000 events a day; on the last two days `changed` decides about the product."""
    settings.warehouse.parent.mkdir(parents=True)
    with duckdb.connect(str(settings.warehouse)) as connection:
        connection.execute(
            "create table stg_products as select * from (values "
            + ", ".join(
                f"('{name}', '{name}', date '{FIRST}', timestamp '{FIRST}')" for name in (*CATEGORIES, "novelty")
            )
            + ") as t(product_id, category_id, event_day, changed_at)"
        )
        listed = list(CATEGORIES)
        connection.execute(f"""
            create table stg_events as
            select date '{FIRST}' + day::int as event_day, 'C' || hash(day, n, 'who') % 500 as customer_id,
                {listed}[1 + (hash(day, n) % 3)::int] as product_id
            from range({REFERENCE + 2}) as t(day), range(3000) as u(n)
        """)
        if changed:
            late = FIRST + timedelta(days=REFERENCE)
            connection.execute(f"update stg_events set product_id = {changed} where event_day >= date '{late}'")


def excess(settings):
    chosen = days()
    found = demand(settings, chosen)
    assert found is not None
    return measure(found[1], compared_with(chosen)).excess[-2:]


def test_every_event_is_counted_once(settings):
    build(settings)
    bins, counts = demand(settings, days())
    assert (bins.column, sorted(bins.names)) == (DEMAND, list(CATEGORIES))
    assert counts.shape[0] == REFERENCE + 2 and counts.sum(axis=(1, 2)).tolist() == [3000.0] * (REFERENCE + 2)
    assert counts[:, :, [0, -1]].sum() == 0
    assert (counts.sum(axis=2) > 0).all()


def test_a_day_like_the_others_has_no_excess(settings):
    build(settings)
    assert (excess(settings) < 0.02).all()


@pytest.mark.parametrize(
    "changed",
    [
        "case when hash(product_id, customer_id) % 4 = 0 then 'novelty' else product_id end",
        "case product_id when 'bread' then 'wine' else product_id end",
    ],
)
def test_other_wishes_are_far_from_the_reference(settings, changed):
    build(settings, changed)
    assert (excess(settings) > 0.3).all()


def test_what_the_reference_never_saw_is_other_and_what_no_catalogue_knows_is_missing(settings):
    build(settings, "case when hash(product_id, customer_id) % 2 = 0 then 'novelty' else 'unheard of' end")
    _, counts = demand(settings, days())
    shares = counts.sum(axis=1)[-1] / 3000
    assert shares[0] + shares[-1] == 1 and np.all(shares[[0, -1]] > 0.3)


def test_the_newest_category_of_a_product_known_by_then_counts(settings):
    build(settings)
    with duckdb.connect(str(settings.warehouse)) as connection:
        for after, name in ((2, "dairy"), (300, "later")):
            day = FIRST + timedelta(days=after)
            connection.execute(f"insert into stg_products values ('cheese', '{name}', '{day}', '{day}')")
    bins, _ = demand(settings, days())
    assert sorted(bins.names) == ["bread", "dairy", "wine"]


def test_without_a_warehouse_or_events_there_is_nothing_to_say(settings):
    assert demand(settings, days()) is None
    build(settings)
    old = Days((date(2020, 1, 9),), tuple(date(2020, 1, number) for number in range(1, 9)), ())
    assert demand(settings, old) is None


def watched(settings, change=lambda columns: None):
    """Drift reports of the two days after the reference; `change` is of what is shown on the first of them."""
    version = publish_booster(settings)
    for number in range(REFERENCE + 2):
        if number == REFERENCE:
            write_day(settings, number, version, change)
        else:
            write_day(settings, number, version)
    return [drift(spec_with(), settings, nth(REFERENCE + number)) for number in range(2)]


def test_other_wishes_alarm_by_themselves_and_persist_on_the_second_day(settings):
    build(settings, "case product_id when 'bread' then 'wine' else product_id end")
    first, second = watched(settings)
    assert [first.windows[-1].drifted, second.windows[-1].drifted] == [(DEMAND,), (DEMAND,)]
    assert (first.alarm, first.persistent, second.persistent) == (True, False, True)
    assert f"{DEMAND} (weight 0.0%" in second.text


def test_the_same_wishes_do_not(settings):
    build(settings)
    assert not any(report.alarm for report in watched(settings))


def test_values_the_model_has_never_seen_are_reported_at_once(settings):
    def dearer(columns):
        columns["product__price"] = columns["product__price"] * 50

    first, second = watched(settings, dearer)
    assert first.persistent and first.windows[-1].gross == ("product__price",)
    assert first.text.startswith("gross drift of product__price")
    assert not second.persistent


def test_another_demand_alarms_on_the_second_day_of_a_version_too(settings):
    """The version before served for ten days; this one answers for the first time when the wishes change."""
    build(settings, "case product_id when 'bread' then 'wine' else product_id end")
    before, version = publish_booster(settings), publish_booster(settings, rounds=31)
    for number in range(REFERENCE + 2):
        write_day(settings, number, before if number < REFERENCE else version)
    first, second = (drift(spec_with(), settings, nth(number)) for number in (REFERENCE, REFERENCE + 1))

    assert (first.version, first.alarm, first.persistent) == (version, True, False)
    assert (second.alarm, second.persistent) == (True, True)
    assert DEMAND in second.windows[-1].drifted
