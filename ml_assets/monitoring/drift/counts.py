"""Rows per day, group of units and bin: all rows, counted in SQL; what comes back has the size of the bins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from ml_assets.monitoring.drift.bins import NAMES, Bins, CategoryBins, number_bins
from ml_assets.monitoring.drift.psi import GROUPS, FloatArray
from ml_assets.monitoring.drift.windows import Days
from ml_assets.monitoring.population import EVENT, Population

EDGE_ROWS = 50_000
"""Reference rows that the bins are chosen on; the shares are counted on all."""

NO_EVENT = "none"

_EVENTS = f"""
create temp view events as
select nth, grp, unnest(case when len(types) = 0 then ['{NO_EVENT}'] else types end) as {EVENT}
from (select nth, grp, [event[2] for event in from_json(session, '[["VARCHAR"]]')] as types from requests)
"""
_BINNED = "create or replace temp table binned as select nth, {by} as grp, {bins} from {relation}"
_COUNTS = "select {number} as feature, nth, grp, bin_{number} as bin, count(*) as n from binned group by all"


def choose_bins(
    connection: duckdb.DuckDBPyConnection, days: Days, columns: Sequence[str], of: Population
) -> tuple[dict[str, list[Bins]], NDArray[np.float32]]:
    """Bins fixed on the reference for every column, by the relation the column is in.

    Returns:
        (relation -> bins, the reference rows [n, F] they were chosen on, in a fixed random order).
    """
    if of.asked:
        connection.execute(_EVENTS)
    rows = sample(connection, days.nth[: len(days.reference)], columns, EDGE_ROWS)
    numbers: list[Bins] = [number_bins(name, rows[:, at]) for at, name in enumerate(columns)]
    found = {"traffic": numbers}
    for relation, column in of.categories:
        found.setdefault(relation, []).append(_category_bins(connection, days, relation, column))
    return found, rows


def sample(
    connection: duckdb.DuckDBPyConnection, nth: NDArray[np.int64], columns: Sequence[str], limit: int
) -> NDArray[np.float32]:
    """About `limit` rows [n, F] of these days, the same ones each time, in a fixed random order; NaN is missing."""
    within = _within(nth)
    counted = connection.execute(f"select count(*) from traffic where {within}").fetchone()
    every = max(-(-(counted[0] if counted else 0) // limit), 1)
    listed = ", ".join(f'"{name}"' for name in columns)
    found = _fetch(connection, f"select {listed} from traffic where {within} and draw % {every} = 0 order by draw")
    return np.stack([found[name] for name in columns], axis=1)


def count(
    connection: duckdb.DuckDBPyConnection, days: Days, relation: str, bins: Sequence[Bins], by: str = "grp"
) -> list[FloatArray]:
    """Rows [T days, G groups, B bins] of each binned column of a relation, in groups of customers (or of `by`)."""
    listed = ", ".join(f"{each.sql} as bin_{number}" for number, each in enumerate(bins))
    connection.execute(_BINNED.format(by=by, bins=listed, relation=relation))
    parts = " union all ".join(_COUNTS.format(number=number) for number in range(len(bins)))
    found = _fetch(connection, parts)
    day = np.searchsorted(days.nth, found["nth"])
    dense = np.zeros((len(bins), len(days.all), GROUPS, max(each.size for each in bins)))
    dense[found["feature"], day, found["grp"], found["bin"]] = found["n"]
    return [dense[number, :, :, : each.size] for number, each in enumerate(bins)]


def _category_bins(connection: duckdb.DuckDBPyConnection, days: Days, relation: str, column: str) -> CategoryBins:
    within = _within(days.nth[: len(days.reference)])
    found = connection.execute(
        f"select {column} from {relation} where {column} is not null and {within} "
        f"group by all order by count(*) desc, {column} limit {NAMES}"
    ).fetchall()
    return CategoryBins(column, tuple(name for (name,) in found))


def _fetch(connection: duckdb.DuckDBPyConnection, sql: str) -> dict[str, Any]:
    """The result's columns as arrays; a missing float is NaN."""
    found: dict[str, Any] = connection.execute(sql).fetchnumpy()
    return {name: np.ma.filled(column, np.nan) if np.ma.isMA(column) else column for name, column in found.items()}


def _within(nth: NDArray[np.int64]) -> str:
    return f"nth in ({', '.join(map(str, nth.tolist()))})"
