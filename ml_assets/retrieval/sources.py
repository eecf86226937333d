"""The candidate sources: each scores every product for a batch of customers from their histories.

A source is a function (index, query) -> float32[customers, products]; 0 means it has nothing to say. All of
them read only the index, which holds nothing from on or after its `as_of`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ml_assets.retrieval.sparse import Csr, Floats, scaled_columns, unit_rows

if TYPE_CHECKING:
    from ml_assets.retrieval.index import RetrievalIndex


@dataclass(frozen=True)
class Query:
    """Who is asked about: `bought`, `seen` sparse [rows, products], `customer` [rows], -1 if unknown."""

    bought: Csr
    seen: Csr
    customer: NDArray[np.int64]

    @property
    def rows(self) -> int:
        """Number of customers."""
        return len(self.customer)


def own(_: RetrievalIndex, query: Query) -> Floats:
    """What the customer bought before, time-decayed, and looked at lately."""
    return np.asarray((query.bought + query.seen).toarray(), dtype=np.float32)


def co_purchase(index: RetrievalIndex, query: Query) -> Floats:
    """What is bought in one basket with what the customer buys."""
    return np.asarray((query.bought @ index.co_purchase).toarray(), dtype=np.float32)


def co_visitation(index: RetrievalIndex, query: Query) -> Floats:
    """What those put in the cart or bought who saw what the customer saw."""
    return np.asarray((query.seen @ index.co_visitation).toarray(), dtype=np.float32)


def similar(index: RetrievalIndex, query: Query) -> Floats:
    """What customers with similar baskets bought lately: sum of their cosines (idf-weighted histories)."""
    likeness = np.asarray((taste(query.bought, query.seen, index.idf) @ index.neighbour_tastes).toarray())
    likeness[query.customer[:, None] == index.neighbour[None, :]] = 0.0
    asked = index.spec.similar_customers
    if asked < likeness.shape[1]:
        floor = -np.partition(-likeness, asked - 1, axis=1)[:, asked - 1 : asked]
        likeness[likeness < floor] = 0.0
    from scipy import sparse

    return np.asarray((sparse.csr_matrix(likeness) @ index.neighbour_bought).toarray(), dtype=np.float32)


def popular(index: RetrievalIndex, query: Query) -> Floats:
    """What everybody buys now."""
    return np.broadcast_to(index.popular, (query.rows, len(index.products)))


def launches(index: RetrievalIndex, query: Query) -> Floats:
    """What was launched lately, the popular ones first."""
    return np.broadcast_to(index.launches, (query.rows, len(index.products)))


SOURCES: dict[str, Callable[[RetrievalIndex, Query], Floats]] = {
    "own": own,
    "co_purchase": co_purchase,
    "co_visitation": co_visitation,
    "similar": similar,
    "popular": popular,
    "launches": launches,
}
"""Every source by its name in the spec, in the order of the score columns."""


def taste(bought: Csr, seen: Csr, idf: Floats) -> Csr:
    """Histories as unit vectors: repeats count once, rare products more."""
    both = (bought + seen).tocsr()
    both.data = np.minimum(both.data, 1.0)
    return unit_rows(scaled_columns(both, idf))
