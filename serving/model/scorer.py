"""One request to one ranked list: retrieve, read features, predict, cut at k.

The feature matrix is built by the same retrieval and the same feature code that made the training set, in the
booster's own column order and in the training set's float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from feature_repo.stores.description import OnlineStoreError
from ml_assets.retrieval.candidates import Candidates
from ml_assets.retrieval.query import SessionEvent
from serving.model.exploration import choose
from serving.schemas import RecommendRequest

if TYPE_CHECKING:
    from serving.model.loaded import LoadedModel

FEATURES = "features"
"""Degraded: the online store could not be read, or lacks features of the version: they were taken as missing."""
CANDIDATES = "candidates"
"""Degraded: nothing to rank."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Answer:
    """A ranked list and what it was made from.

    `scores` is [shown] float32; `features` [shown, F] float32 as the booster saw it, columns as in
    `LoadedModel.features`; `propensities` as in `exploration.choose`; `ranked` counts the products that were
    scored. `sources` names for each product the retrieval sources that have evidence for it (a score), be it
    that they nominated it or that another did.
    """

    products: list[str]
    categories: list[str]
    scores: Floats
    propensities: list[float]
    features: Floats
    sources: list[list[str]]
    ranked: int
    customer_known: bool
    unknown_products: list[str]
    degraded: list[str]


def score(
    loaded: LoadedModel,
    request: RecommendRequest,
    k: int,
    *,
    explore: float = 0.0,
    rng: np.random.Generator | None = None,
) -> Answer:
    """Rank products for a request, and show with probability `explore` another one on the last position.

    `candidates` of the request are ranked as they are, sold out or not, with the retrieval scores of exactly
    these. Unknown products of the session and of `candidates` are left out and listed; an unknown customer is
    ranked from the session and from what is popular. An unreadable online store degrades the answer instead
    of failing it.
    """
    index = loaded.retrieval
    session = [SessionEvent(event.product, event.event_type) for event in request.session]
    pool = index.for_request(request.customer, session, products=request.candidates)
    degraded = [] if len(pool.product) else [CANDIDATES]
    matrix, known = _matrix(loaded, request.customer, pool, degraded)
    scores = _predict(loaded, matrix)
    shown, propensities = choose(np.lexsort((pool.product, -scores)), k, explore, rng)
    positions = pool.product[shown].tolist()
    evidence = ~np.isnan(pool.scores[shown])
    return Answer(
        products=[index.products[position] for position in positions],
        categories=[index.categories[position] for position in positions],
        scores=scores[shown],
        propensities=propensities,
        features=matrix[shown],
        sources=[[pool.source_names[column] for column in np.flatnonzero(row)] for row in evidence],
        ranked=len(pool.product),
        customer_known=known or request.customer in index.customer_positions,
        unknown_products=list(pool.unknown_products),
        degraded=degraded,
    )


def _matrix(loaded: LoadedModel, customer: str, pool: Candidates, degraded: list[str]) -> tuple[Floats, bool]:
    """The booster's input [n, F], and whether the online store knows the customer."""
    matrix = np.full((len(pool.product), len(loaded.features)), np.nan, dtype=np.float32)
    if len(matrix) == 0:
        return matrix, False
    plan, index = loaded.plan, loaded.retrieval
    matrix[:, plan.retrieval_to] = pool.scores[:, plan.retrieval_from]
    positions = pool.product.tolist()
    products = [index.products[position] for position in positions]
    categories = [index.categories[position] for position in positions]
    try:
        values = loaded.reader.read(customer, products, categories, loaded.pointer.now)
    except OnlineStoreError:
        degraded.append(FEATURES)
        return matrix, False
    matrix[:, plan.reader_to] = values[:, plan.reader_from]
    degraded += [FEATURES] if loaded.reader.lacking else []
    return matrix, bool(np.isfinite(values[0, plan.customer]).any())


def _predict(loaded: LoadedModel, matrix: Floats) -> Floats:
    if len(matrix) == 0:
        return np.empty(0, dtype=np.float32)
    return np.asarray(loaded.booster.predict(matrix, num_threads=1), dtype=np.float32)
