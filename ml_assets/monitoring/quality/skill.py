"""The skill of predicted labels: how much of the labels' spread the predictions explain.

skill = 1 - mean((y - p)^2) / var(y), with y the label and p the prediction: the Brier skill score of probabilities
(Murphy 1988), R^2 of numbers. The squared error is a proper score for a probability and consistent for a mean
(Gneiting and Raftery 2007), and the spread it is divided by moves with the base rate: rarer events are no loss.
Labels are centred by day, and their variance has one degree of freedom less per day.

A skill is a ratio of two sums over events. With w_i = (y_i - mean of its day)^2, scaled to add up to the number of
rows, and d_i = w_i - (y_i - p_i)^2 / var(y), it is sum(d) / sum(w): a ratio as `rates` knows them, so that its
variance is that of a ratio estimator, clustered by event (Cochran 1977), and a day weighs as many rows as it has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb

from ml_assets.monitoring.quality.rates import Moments

LEAST_OF_A_CLASS = 10
"""Rows of the rarer label below which a day of a binary model says nothing about its skill."""

_RATIOS = """
with

centred as (
    select {keys}, unit, label, value, day, (label - avg(label) over (partition by {keys}, day)) ** 2 as apart
    from {rows}
    where label is not null
),

spread as (
    select {keys}, count(*) as n, sum(apart) / nullif(count(*) - count(distinct day), 0) as variance,
        count(*) / nullif(sum(apart), 0) as scale
    from centred
    group by {keys}
    having not {binary} or least(sum(label), count(*) - sum(label)) >= {least}
),

units as (
    select {keys}, unit, sum(apart * scale) as n, sum(apart * scale - (label - value) ** 2 / variance) as y
    from centred join spread using ({keys})
    where variance > 0
    group by all
)

select {keys}, {sums} from units group by {keys}
"""
_UNITS = """
with units as (
    select {keys}, unit, count(*)::double as rows, sum(label - value) as gap, sum(label) as label, sum(value) as value
    from {rows} where label is not null group by all
)
select {keys}, {sums} from units group by {keys}
"""
_SUMS = "count(*), sum({n}), sum({y}), sum({y} * {y}), sum({y} * {n}), sum({n} * {n})"

Found = Mapping[tuple[Any, ...], Moments]


def skills(connection: duckdb.DuckDBPyConnection, rows: str, by: Sequence[str], *, binary: bool) -> Found:
    """Moments whose mean is the skill, for each combination of the columns `by` that has one.

    Args:
        connection: where `rows` is: day, unit, label (null: not known), value and the columns `by`.
        rows: the relation.
        by: columns to group by, at least one.
        binary: labels are 0 or 1: of each there must be some.
    """
    keys = ", ".join(by)
    sql = _RATIOS.format(
        keys=keys, rows=rows, binary=str(binary).lower(), least=LEAST_OF_A_CLASS, sums=_SUMS.format(n="n", y="y")
    )
    return _moments(connection, sql, len(by))[0]


def means(connection: duckdb.DuckDBPyConnection, rows: str, by: Sequence[str]) -> tuple[Found, Found, Found]:
    """Moments of labels, of predictions of labelled rows, and of the distance of the label from the prediction."""
    sums = ", ".join(_SUMS.format(n="rows", y=column) for column in ("label", "value", "gap"))
    labels, values, gaps = _moments(connection, _UNITS.format(keys=", ".join(by), rows=rows, sums=sums), len(by), 3)
    return labels, values, gaps


def _moments(
    connection: duckdb.DuckDBPyConnection, sql: str, width: int, count: int = 1
) -> list[dict[tuple[Any, ...], Moments]]:
    found = connection.execute(sql).fetchall()
    return [{row[:width]: Moments(*row[width + 6 * at : width + 6 * (at + 1)]) for row in found} for at in range(count)]
