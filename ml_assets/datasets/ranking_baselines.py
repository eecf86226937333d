"""What a model has to beat: popularity, own purchase frequency, item-kNN and EASE, on the same rows.

Every baseline sees purchases from before the decision only, ranks the full catalogue that could be sold then,
and breaks its ties (and serves customers it knows nothing about) by popularity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ml_assets.retrieval.codes import before, code, positions
from ml_assets.retrieval.sparse import Csr, best_columns, decay, rows_or_empty, summed

Scores = NDArray[np.float64]

POPULAR_DAYS = 28
HALF_LIFE_DAYS = 60.0
RIDGE = 500.0
EASE_PRODUCTS = 6000
ROWS_AT_ONCE = 500


@dataclass(frozen=True)
class PurchaseHistory:
    """Purchases before one decision by position: products [P] (sorted ids), customers [C] (sorted ids).

    `count` [C, P] baskets that hold the product; `faded` the same, decayed; `recent_buyers` [P] distinct
    customers in the last 28 days; `sold` bool[P] whether it could be sold.
    """

    products: list[str]
    customers: list[str]
    count: Csr
    faded: Csr
    recent_buyers: Scores
    sold: NDArray[np.bool_]

    @cached_property
    def bought(self) -> Csr:
        """[C, P] 1 where ever bought."""
        once = self.count.copy()
        once.data[:] = 1.0
        return once

    @cached_property
    def cosine(self) -> NDArray[np.float32]:
        """[P, P] cosine of the products' buyers, diagonal 0."""
        together = (self.bought.T @ self.bought).toarray()
        length = np.sqrt(np.maximum(together.diagonal(), 1.0))
        np.fill_diagonal(together, 0.0)
        return np.asarray(together / length[:, None] / length[None, :], dtype=np.float32)

    @cached_property
    def ease(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Products that EASE knows (at most `EASE_PRODUCTS`, the most bought) and its weights between them.

        B = I - P diag(1 / diag(P)) with P = (X'X + ridge I)^-1 (Steck 2019, "Embarrassingly Shallow
        Autoencoders for Sparse Data"), by Cholesky in float32.
        """
        from scipy.linalg import lapack

        buyers = np.bincount(self.bought.indices, minlength=len(self.products))
        kept = np.sort(np.argsort(-buyers, kind="stable")[:EASE_PRODUCTS])
        chosen = self.bought[:, kept]
        gram = (chosen.T @ chosen).toarray().astype(np.float32)
        gram[np.diag_indices_from(gram)] += RIDGE
        factor, _ = lapack.spotrf(gram, lower=0, overwrite_a=1)
        inverse, _ = lapack.spotri(factor, lower=0, overwrite_c=1)
        inverse = np.triu(inverse) + np.triu(inverse, 1).T
        weights = -inverse / np.diag(inverse)
        np.fill_diagonal(weights, 0.0)
        return kept, np.asarray(weights, dtype=np.float32)


def popularity(history: PurchaseHistory, customer: NDArray[np.int64]) -> Scores:
    """Distinct buyers in the last 28 days, the same for everybody."""
    return np.tile(history.recent_buyers, (len(customer), 1))


def own_frequency(history: PurchaseHistory, customer: NDArray[np.int64]) -> Scores:
    """In how many of the customer's baskets the product was."""
    return np.asarray(rows_or_empty(history.count, customer).toarray(), dtype=np.float64)


def item_knn(history: PurchaseHistory, customer: NDArray[np.int64]) -> Scores:
    """Sum of the product's cosine to what the customer ever bought (Sarwar et al. 2001)."""
    return np.asarray(rows_or_empty(history.bought, customer) @ history.cosine, dtype=np.float64)


def item_knn_decayed(history: PurchaseHistory, customer: NDArray[np.int64]) -> Scores:
    """Item-kNN over decayed basket counts (half-life 60 days); a product is its own nearest neighbour."""
    faded = rows_or_empty(history.faded, customer)
    return np.asarray(faded @ history.cosine + faded.toarray(), dtype=np.float64)


def ease(history: PurchaseHistory, customer: NDArray[np.int64]) -> Scores:
    """EASE over what the customer ever bought; 0 for products beyond the 6,000 most bought."""
    kept, weights = history.ease
    scores = np.zeros((len(customer), len(history.products)))
    scores[:, kept] = rows_or_empty(history.bought, customer)[:, kept] @ weights
    return scores


BASELINES: dict[str, Callable[[PurchaseHistory, NDArray[np.int64]], Scores]] = {
    "popularity": popularity,
    "own_frequency": own_frequency,
    "item_knn": item_knn,
    "item_knn_decayed": item_knn_decayed,
    "ease": ease,
}
"""Every baseline by name: scores [rows, P] of customers given by position (-1: no purchase before)."""


def baseline_lists(
    interactions: pa.Table,
    catalogue: pa.Table,
    requests: pa.Table,
    length: int = 20,
    names: Sequence[str] = tuple(BASELINES),
) -> pa.Table:
    """Ranked lists of the baselines for (customer, decision) pairs.

    Args:
        interactions: as `retrieval.history.read_interactions` gives them, up to the newest decision at least.
        catalogue: as `retrieval.history.read_catalogue` gives it.
        requests: columns customer_id and decision_ts (midnights); duplicates are asked once.
        length: products per list.
        names: which baselines, of `BASELINES`.

    Returns:
        Columns contender, customer_id, decision_ts, product_id, rank (1..length), score; ordered by decision,
        contender (as in `names`), customer, rank.

    Raises:
        KeyError: when there is no baseline of a name.
    """
    pairs = requests.select(["customer_id", "decision_ts"]).group_by(["customer_id", "decision_ts"]).aggregate([])
    parts = []
    for decision in sorted(pc.unique(pairs["decision_ts"]).to_pylist()):
        asked = sorted(pairs.filter(pc.equal(pairs["decision_ts"], decision))["customer_id"].to_pylist())
        history = purchase_history(interactions, catalogue, decision)
        parts += [part for name in names for part in _ranked(name, history, asked, decision, length)]
    return pa.concat_tables(parts) if parts else _table("", datetime(1970, 1, 1))


def purchase_history(interactions: pa.Table, catalogue: pa.Table, decision: datetime) -> PurchaseHistory:
    """Purchases that arrived before the decision day, and which products could be sold then."""
    day = decision.date()
    known = before(interactions, day)
    changes = before(catalogue, day).sort_by("event_day")
    names = sorted({*pc.unique(known["product_id"]).to_pylist(), *pc.unique(changes["product_id"]).to_pylist()})
    coded = code(known.filter(pc.greater(known["orders"], 0)), day, names)
    lately = coded.age <= POPULAR_DAYS
    pairs = np.unique(coded.customer[lately] * len(names) + coded.product[lately])
    sold = np.ones(len(names), dtype=bool)
    sold[positions(changes["product_id"], names)] = changes["available"].to_numpy()  # the newest comes last
    return PurchaseHistory(
        products=names,
        customers=coded.customers,
        count=summed(coded.orders, coded.customer, coded.product, coded.shape),
        faded=summed(decay(coded.age, HALF_LIFE_DAYS), coded.customer, coded.product, coded.shape),
        recent_buyers=np.bincount(pairs % max(len(names), 1), minlength=len(names)).astype(np.float64),
        sold=sold,
    )


def _ranked(
    name: str, history: PurchaseHistory, asked: list[str], decision: datetime, length: int
) -> Iterator[pa.Table]:
    """The ranked lists of one baseline at one decision, some customers at a time."""
    tie = history.recent_buyers / (1e4 * max(history.recent_buyers.max(initial=0.0), 1.0))
    at = {customer: position for position, customer in enumerate(history.customers)}
    for start in range(0, len(asked), ROWS_AT_ONCE):
        customers = asked[start : start + ROWS_AT_ONCE]
        where = np.array([at.get(customer, -1) for customer in customers], dtype=np.int64)
        scores = np.where(history.sold, BASELINES[name](history, where) + tie, -np.inf)
        best = best_columns(scores, length)
        row, rank = np.nonzero(best >= 0)
        product = best[row, rank]
        yield _table(
            name,
            decision,
            customers=[customers[one] for one in row],
            products=[history.products[one] for one in product],
            rank=rank + 1,
            score=scores[row, product],
        )


def _table(
    name: str,
    decision: datetime,
    *,
    customers: Sequence[str] = (),
    products: Sequence[str] = (),
    rank: Sequence[int] | NDArray[np.int64] = (),
    score: Sequence[float] | Scores = (),
) -> pa.Table:
    return pa.table(
        {
            "contender": pa.array([name] * len(customers), pa.string()),
            "customer_id": pa.array(customers, pa.string()),
            "decision_ts": pa.array([decision] * len(customers), pa.timestamp("us")),
            "product_id": pa.array(products, pa.string()),
            "rank": pa.array(rank, pa.int32()),
            "score": pa.array(score, pa.float64()),
        }
    )
