"""The retrieval index: everything candidate generation knows as of one moment, as sparse matrices.

The same index answers in training (one per decision time), in batch and in the service.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ml_assets.config.retrieval_config import RetrievalSpec
from ml_assets.retrieval.candidates import Candidates, nominate
from ml_assets.retrieval.codes import Coded, before, code, positions, sorted_names
from ml_assets.retrieval.contents import IndexContents
from ml_assets.retrieval.query import SessionEvent, query_customers, query_session
from ml_assets.retrieval.sources import SOURCES, taste
from ml_assets.retrieval.sparse import Csr, Floats, decay, neighbours, summed
from ml_assets.retrieval.store import load_index, save_index

__all__ = ["RetrievalIndex", "SessionEvent", "build_index"]

VIEW, CART, PURCHASE = 0.1, 0.3, 1.0
"""What an event says about wanting the product, in purchases."""


class RetrievalIndex(IndexContents):
    """The index, and what it is asked."""

    @property
    def source_names(self) -> tuple[str, ...]:
        """Names of the score columns, without the `retrieval__` prefix."""
        return tuple(SOURCES)

    def candidates(self, customer_ids: Sequence[str]) -> Candidates:
        """Candidates of many customers; one never seen gets popular products and launches.

        Rows are grouped by customer in the order asked, the likeliest candidates first.
        """
        return nominate(self, query_customers(self, customer_ids))

    def for_request(
        self,
        customer_id: str | None,
        session: Sequence[SessionEvent] = (),
        products: Sequence[str] | None = None,
    ) -> Candidates:
        """Candidates of one customer whose running session is not in the index yet.

        Args:
            customer_id: None or an unknown id is a customer without history.
            session: events so far; unknown products are left out and listed in `unknown_products`.
            products: score exactly these instead of nominating (unknown ones left out and listed too).
        """
        return nominate(self, *query_session(self, customer_id, session, products))

    def save(self, folder: Path) -> None:
        """Write the index into an existing empty folder: the same index gives the same bytes."""
        save_index(self, folder)

    @staticmethod
    def load(folder: Path) -> RetrievalIndex:
        """Read an index that `save` wrote.

        Raises:
            IndexFilesError: when a file is missing, damaged, or of another format version.
        """
        return RetrievalIndex(**load_index(folder))


def build_index(interactions: pa.Table, catalogue: pa.Table, as_of: datetime, spec: RetrievalSpec) -> RetrievalIndex:
    """Build the index as of a midnight from what arrived on the days before it; later rows are ignored.

    Args:
        interactions: as `history.read_interactions` gives them.
        catalogue: as `history.read_catalogue` gives it.
        as_of: midnight of the first day that is not known yet.
        spec: half-lives, windows and quotas.
    """
    day = as_of.date()
    known = before(interactions, day, spec.history_days)
    changes = before(catalogue, day)
    coded = code(known, day, sorted_names(known["product_id"], changes["product_id"]))
    bought, seen = _histories(coded, spec)
    co_purchase, co_visitation = _neighbours(coded, spec)
    holders = np.bincount((bought + seen).indices, minlength=coded.shape[1])
    idf = np.log1p(coded.shape[0] / (1.0 + holders)).astype(np.float32)
    neighbour, neighbour_bought = _recent(coded, spec.similar_days)
    popular = _popular(coded, spec)
    categories, available, first_day = _catalogue(changes, coded)
    launched = day.toordinal() - first_day < spec.launch_days
    return RetrievalIndex(
        products=coded.products,
        categories=categories,
        customers=coded.customers,
        as_of=as_of,
        spec=spec,
        available=available,
        bought=bought,
        seen=seen,
        co_purchase=co_purchase,
        co_visitation=co_visitation,
        idf=idf,
        neighbour=neighbour,
        neighbour_tastes=taste(bought[neighbour] + seen[neighbour], idf).T.tocsr(),
        neighbour_bought=neighbour_bought,
        popular=popular,
        launches=np.where(launched, 1 + popular, 0).astype(np.float32),
    )


def _histories(coded: Coded, spec: RetrievalSpec) -> tuple[Csr, Csr]:
    bought = PURCHASE * coded.orders * decay(coded.age, spec.half_life_days)
    looked = VIEW * coded.views + CART * coded.carts
    seen = looked * decay(coded.age, spec.visit_half_life_days)
    return (
        summed(bought, coded.customer, coded.product, coded.shape),
        summed(seen, coded.customer, coded.product, coded.shape),
    )


def _neighbours(coded: Coded, spec: RetrievalSpec) -> tuple[Csr, Csr]:
    """What is bought together, and what is taken by who saw something: evidence fades by `half_life_days`."""
    weight = np.sqrt(decay(coded.age, spec.half_life_days))  # a pair multiplies two of them
    shape = (coded.sessions, coded.shape[1])

    def sessions(happened: NDArray[np.bool_]) -> Csr:
        return summed(weight * happened, coded.session, coded.product, shape)

    baskets = sessions(coded.orders > 0)
    saw = sessions(coded.views + coded.carts > 0)
    took = sessions(coded.carts + coded.orders > 0)
    return neighbours(baskets, baskets, spec.neighbours), neighbours(saw, took, spec.neighbours)


def _recent(coded: Coded, days: int) -> tuple[NDArray[np.int64], Csr]:
    """Customers who bought in the last `days` (positions), and what."""
    lately = (coded.orders > 0) & (coded.age <= days)
    neighbour, row = np.unique(coded.customer[lately], return_inverse=True)
    bought = summed(np.ones(len(row)), row, coded.product[lately], (len(neighbour), coded.shape[1]))
    bought.data[:] = 1.0
    return neighbour, bought


def _popular(coded: Coded, spec: RetrievalSpec) -> Floats:
    weight = PURCHASE * coded.orders + VIEW * coded.views + CART * coded.carts
    weight = weight * decay(coded.age, spec.popular_days)
    return np.bincount(coded.product, weight, minlength=coded.shape[1]).astype(np.float32)


def _catalogue(changes: pa.Table, coded: Coded) -> tuple[list[str], NDArray[np.bool_], NDArray[np.float64]]:
    """Category, availability and first listed day (ordinal; -inf if never listed) of each product."""
    categories = [""] * len(coded.products)
    available = np.ones(len(coded.products), dtype=bool)
    first = np.full(len(coded.products), -np.inf)
    changes = changes.sort_by("event_day")
    at = positions(changes["product_id"], coded.products)
    listed: list[date] = changes["event_day"].to_pylist()
    for product, category, day in zip(at, changes["category_id"].to_pylist(), listed, strict=True):
        categories[product] = category or ""
        if np.isneginf(first[product]):
            first[product] = day.toordinal()
    available[at] = changes["available"].to_numpy()  # the newest comes last
    return categories, available, first
