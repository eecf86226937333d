"""One request to one ranked list: retrieve, read features, predict, cut at k.

The feature matrix is built by the same retrieval and the same feature code that made the training set, in the
booster's own column order and in the training set's float32.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ml_assets.retrieval.index import SessionEvent
from numpy.typing import NDArray

from serving.schemas import RecommendRequest

if TYPE_CHECKING:
    from serving.loader import LoadedModel

FEATURES = "features"
"""Degraded: the online store could not be read, every feature was taken as missing."""
CANDIDATES = "candidates"
"""Degraded: nothing to rank."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Answer:
    """A ranked list and what it was made from.

    `features` is [shown, F] float32 as the booster saw it, columns as in `LoadedModel.features`; `ranked`
    counts the products that were scored.
    """

    products: list[str]
    scores: Floats
    features: Floats
    sources: list[list[str]]
    ranked: int
    customer_known: bool
    unknown_products: list[str]
    degraded: list[str]


@dataclass(frozen=True, slots=True)
class _Pool:
    """The products to rank: positions in the index [n], retrieval scores [n, S]."""

    products: NDArray[np.int32]
    scores: Floats


def score(loaded: LoadedModel, request: RecommendRequest, k: int) -> Answer:
    """Rank products for a request.

    Unknown products of the session and of `candidates` are left out and listed; an unknown customer is ranked
    from the session and from what is popular. An unreadable online store degrades the answer instead of
    failing it.
    """
    unknown = _unknown_products(loaded, request)
    pool = _pool(loaded, request)
    degraded: list[str] = []
    if len(pool.products) == 0:
        degraded.append(CANDIDATES)
    matrix, known = _matrix(loaded, request.customer, pool, degraded)
    scores = _predict(loaded, matrix)
    best = np.lexsort((pool.products, -scores))[:k]
    shown = [loaded.index.products[position] for position in pool.products[best]]
    nominated = ~np.isnan(pool.scores[best])
    return Answer(
        products=shown,
        scores=scores[best],
        features=matrix[best],
        sources=[[loaded.sources[column] for column in np.flatnonzero(row)] for row in nominated],
        ranked=len(pool.products),
        customer_known=known or request.customer in loaded.customers,
        unknown_products=unknown,
        degraded=degraded,
    )


def _unknown_products(loaded: LoadedModel, request: RecommendRequest) -> list[str]:
    named = [event.product for event in request.session] + (request.candidates or [])
    return [product for product in dict.fromkeys(named) if product not in loaded.positions]


def _pool(loaded: LoadedModel, request: RecommendRequest) -> _Pool:
    session = [
        SessionEvent(event.product, event.event_type)
        for event in request.session
        if event.product in loaded.positions
    ]
    retrieved = loaded.index.for_request(request.customer, session)
    if request.candidates is None:
        return _Pool(retrieved.product, retrieved.scores)
    wanted = dict.fromkeys(
        loaded.positions[product] for product in request.candidates if product in loaded.positions
    )
    row_of = {int(position): row for row, position in enumerate(retrieved.product)}
    scores = np.full((len(wanted), len(loaded.sources)), np.nan, dtype=np.float32)
    for row, position in enumerate(wanted):
        if position in row_of:
            scores[row] = retrieved.scores[row_of[position]]
    return _Pool(np.fromiter(wanted, dtype=np.int32, count=len(wanted)), scores)


def _matrix(loaded: LoadedModel, customer: str, pool: _Pool, degraded: list[str]) -> tuple[Floats, bool]:
    """The booster's input [n, F], and whether the online store knows the customer."""
    matrix = np.full((len(pool.products), len(loaded.features)), np.nan, dtype=np.float32)
    plan = loaded.plan
    matrix[:, plan.retrieval_to] = pool.scores[:, plan.retrieval_from]
    if len(pool.products) == 0:
        return matrix, False
    products = [loaded.index.products[position] for position in pool.products]
    categories = [loaded.index.categories[position] for position in pool.products]
    try:
        values = loaded.reader.read(customer, products, categories, loaded.pointer.now)
    except (sqlite3.Error, OSError):
        degraded.append(FEATURES)
        return matrix, False
    matrix[:, plan.reader_to] = values[:, plan.reader_from]
    return matrix, bool(np.isfinite(values[0, plan.customer]).any())


def _predict(loaded: LoadedModel, matrix: Floats) -> Floats:
    if len(matrix) == 0:
        return np.empty(0, dtype=np.float32)
    return np.asarray(loaded.booster.predict(matrix, num_threads=1), dtype=np.float32)
