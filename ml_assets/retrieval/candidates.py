"""Candidate generation: every source nominates up to its quota, the best `total` stay, all sources score all.

A source's n-th nomination has priority n / quota; a candidate's priority is its best one. Popularity goes on
beyond its quota, so that what the others leave of `total` is filled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml_assets.retrieval.contents import IndexContents
from ml_assets.retrieval.sources import SOURCES, Query
from ml_assets.retrieval.sparse import Floats, best_columns

CELLS = 2_000_000
"""Customers x products scored at once: bounds the memory of a batch (about 100 MB)."""


@dataclass(frozen=True)
class Candidates:
    """Nominated products, rows grouped by customer, likeliest first.

    `row_customer` int32[n] is the position in the customers asked about, `product` int32[n] the position in
    `index.products`, `scores` float32[n, S] each source's score, NaN where it has nothing to say about the
    product; `source_names` [S]. `unknown_products` are ids of the session that the index does not know.
    """

    row_customer: NDArray[np.int32]
    product: NDArray[np.int32]
    scores: Floats
    source_names: tuple[str, ...] = tuple(SOURCES)
    unknown_products: tuple[str, ...] = ()


def nominate(
    index: IndexContents,
    query: Query,
    unknown: tuple[str, ...] = (),
    products: NDArray[np.int64] | None = None,
) -> Candidates:
    """Candidates of each customer of the query, or exactly `products` for each of them."""
    parts = [_part(index, query, rows, products) for rows in _batches(query.rows, len(index.products))]
    if not parts:
        parts = [_nothing()]
    return Candidates(
        row_customer=np.concatenate([part[0] for part in parts]).astype(np.int32),
        product=np.concatenate([part[1] for part in parts]).astype(np.int32),
        scores=np.concatenate([part[2] for part in parts]),
        unknown_products=unknown,
    )


Part = tuple[NDArray[np.int64], NDArray[np.int64], Floats]


def _nothing() -> Part:
    none = np.empty(0, dtype=np.int64)
    return none, none, np.empty((0, len(SOURCES)), dtype=np.float32)


def _batches(rows: int, products: int) -> Iterator[slice]:
    step = max(1, CELLS // max(products, 1))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def _part(index: IndexContents, query: Query, rows: slice, products: NDArray[np.int64] | None) -> Part:
    batch = query[rows]
    scores = [source(index, batch) for source in SOURCES.values()]
    if products is None:
        row, product = _chosen(index, scores, batch.rows)
    else:
        row, product = np.repeat(np.arange(batch.rows), len(products)), np.tile(products, batch.rows)
    gathered = np.stack(scores)[:, row, product].T
    return row + rows.start, product, np.where(gathered > 0, gathered, np.float32(np.nan))


def _chosen(index: IndexContents, scores: list[Floats], rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and product of the `total` candidates of best priority, in order of priority."""
    priority = np.tile(index.filling, (rows, 1))
    for name, score in zip(SOURCES, scores, strict=True):
        quota = getattr(index.spec, name)
        if quota == 0 or name == "popular" or not score.any():
            continue
        nominated = best_columns(np.where(index.available & (score > 0), score, -np.inf), quota)
        row, rank = np.nonzero(nominated >= 0)
        product = nominated[row, rank]
        priority[row, product] = np.minimum(priority[row, product], (rank + 1) / quota)
    chosen = best_columns(-priority, index.spec.total)
    row, rank = np.nonzero(chosen >= 0)
    return row, chosen[row, rank]
