"""Features against their definitions, on every day: a change-point log must be right between its rows too."""

from __future__ import annotations

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import feature_oracle as oracle
import pytest
from dbt_warehouse import Warehouse
from tiny_lake import DAYS, day

Row = dict[str, Any]


@pytest.fixture(scope="module")
def events(random_lake: Path) -> list[oracle.Event]:
    return oracle.read_events(random_lake)


@pytest.fixture(scope="module")
def news(random_lake: Path) -> list[oracle.News]:
    return oracle.read_news(random_lake)


@pytest.fixture(scope="module")
def category_of(events: list[oracle.Event], news: list[oracle.News]) -> dict[oracle.Event, str]:
    known = {event: oracle.newest(news, event.product, event.day) for event in events}
    return {event: listing.category if listing else "unknown" for event, listing in known.items()}


def rows_of(warehouse: Warehouse, table: str, *keys: str) -> dict[tuple, dict[dt.date, Row]]:
    """Rows by key and day, timestamps as dates."""
    found: dict[tuple, dict[dt.date, Row]] = defaultdict(dict)
    names = warehouse.columns(table)
    for values in warehouse.table(table):
        row: Row = dict(zip(names, values, strict=True))
        assert row.pop("event_timestamp") == dt.datetime.combine(row["event_day"] + oracle.DAY, dt.time())
        for name, value in row.items():
            row[name] = value.date() if isinstance(value, dt.datetime) else value
        found[tuple(row.pop(key) for key in keys)][row.pop("event_day")] = row
    return found


def differences(found: Row, expected: Row) -> dict[str, tuple[Any, Any]]:
    """Columns that differ, floats by more than rounding; found and expected have the same columns."""
    assert found.keys() == expected.keys()
    return {name: (value, expected[name]) for name, value in found.items() if not same(value, expected[name])}


def same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, int | float):
        return math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-12)
    return bool(a == b)


def assert_known_every_day(log: dict[dt.date, Row], expected: Callable[[dt.date], Row]) -> None:
    """The newest row on or before each day says what the definition says on that day."""
    for number in range(DAYS):
        rows = [on for on in log if on <= day(number)]
        if rows:
            assert not differences(log[max(rows)], expected(day(number))), day(number)


def test_customer(built: Warehouse, events: list[oracle.Event]) -> None:
    for (who,), log in rows_of(built, "feat_customer", "customer_id").items():
        assert min(log) == min(e.day for e in events if e.customer == who)
        assert_known_every_day(log, lambda on, who=who: oracle.customer(events, who, on))


def test_product(built: Warehouse, events: list[oracle.Event], news: list[oracle.News]) -> None:
    for (what,), log in rows_of(built, "feat_product", "product_id").items():
        assert_known_every_day(log, lambda on, what=what: oracle.product(events, news, what, on))


def test_category(built: Warehouse, category_of: dict[oracle.Event, str]) -> None:
    logs = rows_of(built, "feat_category", "category_id")
    assert {what for (what,) in logs} == set(category_of.values())
    for (what,), log in logs.items():
        assert_known_every_day(log, lambda on, what=what: oracle.category(category_of, what, on))


def test_customer_product(built: Warehouse, events: list[oracle.Event]) -> None:
    logs = rows_of(built, "feat_customer_product", "customer_id", "product_id")
    assert sum(map(len, logs.values())) == len({(e.customer, e.product, e.day) for e in events})
    for (who, what), log in logs.items():
        for on, row in log.items():
            assert not differences(row, oracle.customer_product(events, who, what, on)), on


def test_customer_category(built: Warehouse, category_of: dict[oracle.Event, str]) -> None:
    logs = rows_of(built, "feat_customer_category", "customer_id", "category_id")
    assert sum(map(len, logs.values())) == len({(e.customer, name, e.day) for e, name in category_of.items()})
    for (who, what), log in logs.items():
        for on, row in log.items():
            assert not differences(row, oracle.customer_category(category_of, who, what, on)), on
