"""Rates and ranking metrics of answers, with standard errors clustered by customer.

An answer is one list shown once. Answers of one customer are alike, so a mean over answers is a ratio of two
sums over customers, and its variance is C / (C - 1) * sum((y_c - mean * n_c)^2) / n^2 with y_c the customer's
sum and n_c the number of answers that count (Cochran 1977, ratio estimator). The sums are made in SQL: what
comes back has the size of the question, not of the traffic.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from ml_assets.monitoring.reports import Report

MEASURES = {
    "click_rate": ("clicked", "answers"),
    "purchase_rate": ("purchased", "answers"),
    "click_ndcg": ("clicked_ndcg", "clicked"),
    "purchase_ndcg": ("purchased_ndcg", "purchased"),
    "click_mrr": ("clicked_rr", "clicked"),
    "purchase_mrr": ("purchased_rr", "purchased"),
}
"""What is averaged: the sum of a column of `customers_sql` over another one.

Rates count every answer. NDCG and the reciprocal rank of the first hit count answers with a hit: they say
whether what was wanted stood on top, given that it was there at all.
"""

Z95 = 1.959963984540054


@dataclass(frozen=True)
class Moments:
    """Sums over customers of n (answers that count) and y (what they add up to); see the module."""

    customers: int = 0
    n: float = 0.0
    y: float = 0.0
    yy: float = 0.0
    yn: float = 0.0
    nn: float = 0.0

    @property
    def mean(self) -> float:
        """The sum y over n; NaN when nothing counts."""
        return self.y / self.n if self.n else math.nan

    @property
    def variance(self) -> float:
        """Of the mean, clustered by customer; NaN for fewer than two customers."""
        if self.customers < 2:
            return math.nan
        squares = self.yy - 2 * self.mean * self.yn + self.mean**2 * self.nn
        return self.customers / (self.customers - 1) * max(squares, 0.0) / self.n**2

    @property
    def estimate(self) -> Estimate:
        """The mean with its standard error."""
        value, error = self.mean, math.sqrt(self.variance)
        return Estimate(
            value=None if math.isnan(value) else value,
            error=None if math.isnan(error) else error,
            count=int(self.n),
        )


class Estimate(Report):
    """A mean over `count` answers; the standard error is clustered by customer, None when it is unknown."""

    value: float | None
    error: float | None
    count: int

    @property
    def interval(self) -> tuple[float, float] | None:
        """Normal 95 % interval."""
        if self.value is None or self.error is None:
            return None
        return self.value - Z95 * self.error, self.value + Z95 * self.error


def answers_sql(answers: str, shown: str, k: int) -> str:
    """SQL of one row per answer: the columns of `answers`, and of each outcome whether, NDCG@k and 1 / rank.

    NDCG takes what was wanted among the shown products as the truth: the gain of a hit at position p is
    1 / log2(p + 1), the ideal has all hits on top (Jarvelin and Kekalainen 2002).

    Args:
        answers: a relation with a unique `prediction_id`.
        shown: a relation with prediction_id, position (from 1), clicked, purchased.
        k: positions beyond it do not count.
    """
    ideal = [sum(1 / math.log2(rank + 1) for rank in range(1, hits + 1)) for hits in range(1, k + 1)]
    columns = ", ".join(
        f"""
        coalesce(count(*) filter ({hit}), 0) as {hit}_hits,
        sum(1 / log2(position + 1)) filter ({hit}) as {hit}_gain,
        min(position) filter ({hit}) as {hit}_first"""
        for hit in ("clicked", "purchased")
    )
    measured = ", ".join(
        f"""
        coalesce({hit}_hits, 0) > 0 as {hit},
        coalesce({hit}_gain / list_extract({ideal}, {hit}_hits), 0) as {hit}_ndcg,
        coalesce(1 / {hit}_first, 0) as {hit}_rr"""
        for hit in ("clicked", "purchased")
    )
    return f"""
        with hits as (select prediction_id, {columns} from {shown} where position <= {k} group by all)
        select answers.*, {measured} from {answers} as answers left join hits using (prediction_id)
    """


def moments(
    connection: duckdb.DuckDBPyConnection, answers: str, by: Sequence[str], where: str = "true"
) -> dict[tuple[Any, ...], dict[str, Moments]]:
    """Moments of every measure in `MEASURES`, for each combination of the columns `by`.

    Args:
        connection: where `answers` is, as made by `answers_sql`, with a `customer_id`.
        answers: the relation's name.
        by: columns to group by, at least one.
        where: condition on the answers.
    """
    summed = sorted({column for pair in MEASURES.values() for column in pair} - {"answers"})
    sums = ", ".join(f"sum({name}::double) as {name}" for name in summed)
    keys = ", ".join(by)
    folded = ", ".join(
        f"count(*) filter ({n} > 0), sum({n}), sum({y}), sum({y} * {y}), sum({y} * {n}), sum({n} * {n})"
        for y, n in MEASURES.values()
    )
    rows = connection.execute(f"""
        with customers as (
            select {keys}, customer_id, count(*)::double as answers, {sums} from {answers} where {where} group by all
        )
        select {keys}, {folded} from customers group by {keys}
    """).fetchall()
    width = len(by)
    return {
        row[:width]: {name: Moments(*row[width + 6 * at : width + 6 * (at + 1)]) for at, name in enumerate(MEASURES)}
        for row in rows
    }


def difference(one: Moments, other: Moments) -> Estimate:
    """`one` - `other` of different customers."""
    value, error = one.mean - other.mean, math.sqrt(one.variance + other.variance)
    known = not math.isnan(value) and not math.isnan(error)
    return Estimate(value=value if known else None, error=error if known else None, count=int(one.n + other.n))


def estimates(found: Mapping[str, Moments]) -> dict[str, Estimate]:
    """Every measure with its standard error."""
    return {name: each.estimate for name, each in found.items()}
