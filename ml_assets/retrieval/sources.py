"""The candidate sources: each scores every product for a batch of customers from their histories.

A source is a function (index, query) -> float32[customers, products]; 0 means it has nothing to say. All of
them read only the index, which holds nothing from on or after its `as_of`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ml_assets.retrieval.contents import IndexContents
from ml_assets.retrieval.sparse import Floats, Rows, filled, mapped, times, unit_rows


@dataclass(frozen=True)
class Query:
    """Who is asked about: `bought`, `seen` sparse [rows, products], `customer` [rows], -1 if unknown."""

    bought: Rows
    seen: Rows
    customer: NDArray[np.int64]

    @cached_property
    def history(self) -> Rows:
        """Both together."""
        return self.bought + self.seen

    @property
    def rows(self) -> int:
        """Number of customers."""
        return len(self.customer)

    def __getitem__(self, rows: slice) -> Query:
        """Some of the customers."""
        if self.rows == 1:
            return self
        return Query(self.bought[rows], self.seen[rows], self.customer[rows])


def own(_: IndexContents, query: Query) -> Floats:
    """What the customer bought before, time-decayed, and looked at lately."""
    return np.asarray(query.history.toarray(), dtype=np.float32)


def co_purchase(index: IndexContents, query: Query) -> Floats:
    """What is bought in one basket with what the customer buys."""
    return times(query.bought, index.co_purchase)


def co_visitation(index: IndexContents, query: Query) -> Floats:
    """What those put in the cart or bought who saw what the customer saw."""
    return times(query.seen, index.co_visitation)


def similar(index: IndexContents, query: Query) -> Floats:
    """What customers with similar baskets bought lately: sum of their cosines (idf-weighted histories)."""
    likeness = times(taste(query.history, index.idf), index.neighbour_tastes)
    likeness[query.customer[:, None] == index.neighbour[None, :]] = 0.0
    left_out = likeness.shape[1] - index.spec.similar_customers
    if left_out > 0:
        floor = np.partition(likeness, left_out, axis=1)[:, left_out, None]
        likeness[likeness < floor] = 0.0
    return times(filled(likeness), index.neighbour_bought)


def popular(index: IndexContents, query: Query) -> Floats:
    """What everybody buys now."""
    return np.broadcast_to(index.popular, (query.rows, len(index.products)))


def launches(index: IndexContents, query: Query) -> Floats:
    """What was launched lately, the popular ones first."""
    return np.broadcast_to(index.launches, (query.rows, len(index.products)))


SOURCES: dict[str, Callable[[IndexContents, Query], Floats]] = {
    "own": own,
    "co_purchase": co_purchase,
    "co_visitation": co_visitation,
    "similar": similar,
    "popular": popular,
    "launches": launches,
}
"""Every source by its name in the spec, in the order of the score columns."""


def taste(history: Rows, idf: Floats) -> Rows:
    """Histories as unit vectors: repeats count once, rare products more."""
    return unit_rows(mapped(history, lambda data, product: np.minimum(data, 1.0) * idf[product]))
