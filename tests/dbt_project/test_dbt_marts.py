"""The marts against the raw events: who is to be ranked what, when, with which label."""

from __future__ import annotations

import datetime as dt
import math
from collections import defaultdict
from pathlib import Path

import feature_oracle as oracle
import pytest
from dbt_warehouse import Warehouse
from tiny_lake import DAYS, LAST_DAY, day

HORIZON = 7 * oracle.DAY
GRADES = {"view": 1, "cart": 2, "purchase": 3}


@pytest.fixture(scope="module")
def events(random_lake: Path) -> list[oracle.Event]:
    return oracle.read_events(random_lake)


def decisions() -> list[dt.date]:
    """Mondays whose week is complete."""
    return [day(n) for n in range(DAYS) if day(n).weekday() == 0 and day(n) + HORIZON - oracle.DAY <= LAST_DAY]


def spine(warehouse: Warehouse, *columns: str) -> dict[tuple, tuple]:
    names = ", ".join(columns)
    rows = warehouse.rows(f"select decision_day, customer_id, product_id, {names} from mart_recommendation_spine")
    return {row[:3]: row[3:] for row in rows}


def test_labels_are_the_highest_grade_of_the_week_after_the_decision(
    built: Warehouse, events: list[oracle.Event]
) -> None:
    expected = {}
    for decision in decisions():
        seen = defaultdict(list)
        for event in events:
            if decision <= event.day < decision + HORIZON:
                seen[decision, event.customer, event.product].append(event)
        for key, found in seen.items():
            bought = oracle.kinds(found, "purchase")
            label = max(GRADES[event.kind] for event in found)
            expected[key] = (label, float(sum(e.revenue for e in bought)), sum(e.quantity for e in bought))
    assert spine(built, "label", "revenue", "quantity") == expected
    assert built.rows("select count(*) from mart_recommendation_spine where decision_ts <> decision_day") == [(0,)]


def test_slices_of_the_customer_are_known_before_the_decision(built: Warehouse, events: list[oracle.Event]) -> None:
    for (decision, who, _), found in spine(built, "customer_kind", "country").items():
        before = sorted((e for e in events if e.customer == who and e.day < decision), key=lambda e: (e.day, e.order))
        countries = [event.country for event in before if event.country]
        kind = "returning" if oracle.kinds(before, "purchase") else "new"
        assert found == (kind, countries[-1] if countries else "unknown")


def known_products(events: list[oracle.Event], news: list[oracle.News], on: dt.date) -> dict[str, dict]:
    """`feat_product` at the end of that day, of every product an event or the catalogue has named by then."""
    known = {e.product for e in events if e.day <= on} | {n.product for n in news if n.day <= on}
    return {what: oracle.product(events, news, what, on) for what in known}


def expected_tiers(state: dict[str, dict], what: str) -> tuple[str, str]:
    if what not in state:
        return "unknown", "tail"
    prices = sorted(row["price"] for row in state.values())
    low, mid = (prices[max(0, math.ceil(len(prices) * third / 3) - 1)] for third in (1, 2))
    price = state[what]["price"]
    rank = sorted(state, key=lambda other: (-state[other]["buyers_28d"], other)).index(what) + 1
    sold = state[what]["buyers_28d"] > 0
    popularity = "head" if rank <= math.ceil(0.05 * len(state)) else "torso"
    return (
        "low" if price <= low else "mid" if price <= mid else "high",
        popularity if sold and rank <= math.ceil(0.30 * len(state)) else "tail",
    )


def test_tiers_of_the_product_are_known_before_the_decision(
    built: Warehouse, events: list[oracle.Event], random_lake: Path
) -> None:
    news = oracle.read_news(random_lake)
    state = {decision: known_products(events, news, decision - oracle.DAY) for decision in decisions()}
    for (decision, _, what), found in spine(built, "price_tier", "popularity_tier").items():
        assert found == expected_tiers(state[decision], what)


def test_daily_counts_have_every_day(built: Warehouse, events: list[oracle.Event]) -> None:
    found = {on: counts for on, *counts in built.table("mart_daily_counts")}
    assert list(found) == [day(number) for number in range(DAYS)]
    for on, (total, views, carts, purchases, customers, products, revenue) in found.items():
        seen = [event for event in events if event.day == on]
        assert (total, views, carts, purchases) == (
            len(seen),
            *(len(oracle.kinds(seen, kind)) for kind in GRADES),
        )
        assert (customers, products) == (len({e.customer for e in seen}), len({e.product for e in seen}))
        assert revenue == pytest.approx(float(sum(e.revenue for e in oracle.kinds(seen, "purchase"))))


def test_active_customers_were_seen_in_the_last_90_days(built: Warehouse, events: list[oracle.Event]) -> None:
    as_of = LAST_DAY + oracle.DAY
    active = {e.customer for e in events if e.day >= as_of - 90 * oracle.DAY}
    assert dict(built.rows("select customer_id, as_of from mart_active_customers")) == dict.fromkeys(
        active, dt.datetime.combine(as_of, dt.time())
    )


def test_products_are_the_newest_listing(built: Warehouse, random_lake: Path, events: list[oracle.Event]) -> None:
    news = oracle.read_news(random_lake)
    rows = built.rows("select product_id, category_id, price, available, last_event_day from mart_products")
    assert {row[0] for row in rows} == {n.product for n in news} | {e.product for e in events}
    for what, *found in rows:
        state = oracle.product(events, news, what, LAST_DAY)
        last = max((e.day for e in events if e.product == what), default=None)
        assert found == [state["category_id"], pytest.approx(state["price"]), state["available"], last]
