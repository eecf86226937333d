"""Ranking metrics over the full catalogue, vectorised over groups (one customer at one decision).

A contender's lists are a matrix: row = group, column = rank - 1, value = item code, -1 where the list is
shorter. `match` says once which truth row each position hits; every metric, and every slice of the truth, is
arithmetic on that matrix. A group without truth has no metric (NaN) and counts nowhere.

Truth holds every relevant product, also those that retrieval did not nominate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

LIST_LENGTH = 20
RELEVANCE_METRICS = ("ndcg_10", "recall_20", "map_12", "mrr", "revenue_ndcg_10")
METRICS = (*RELEVANCE_METRICS, "novelty_10")


@dataclass(frozen=True)
class Truth:
    """Relevant items, one row each: `group` int[n] in 0..groups-1, `item` int[n], `revenue` float[n]."""

    groups: int
    group: IntArray
    item: IntArray
    revenue: FloatArray

    def sizes(self, keep: BoolArray | None = None) -> IntArray:
        """Relevant items of each group [groups], of the kept rows only where `keep` [n] is given."""
        rows = self.group if keep is None else self.group[keep]
        return np.bincount(rows, minlength=self.groups)


def match(lists: IntArray, truth: Truth) -> IntArray:
    """Truth row that each list position hits, -1 for none: int[groups, K]."""
    if not len(truth.item):
        return np.full(lists.shape, -1, dtype=np.int64)
    span = int(max(truth.item.max(), lists.max(initial=0))) + 1
    keys = truth.group * span + truth.item
    order = np.argsort(keys, kind="stable")
    wanted = np.arange(len(lists))[:, None] * span + lists
    at = order[np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)]
    return np.where((lists >= 0) & (keys[at] == wanted), at, -1)


def relevance(hit: IntArray, keep: BoolArray | None = None) -> FloatArray:
    """1.0 where a position hits a (kept) truth row, else 0.0."""
    found = hit >= 0
    return (found if keep is None else found & keep[hit]).astype(np.float64)


def ndcg(gain: FloatArray, ideal: FloatArray) -> FloatArray:
    """Normalised discounted cumulative gain: DCG over the ideal DCG, discount log2(rank + 1).

    Source: Jarvelin and Kekalainen 2002.

    Args:
        gain: [groups, k] gain at each rank.
        ideal: [groups, k] the best k gains of the group's whole truth, descending.
    """
    discount = 1.0 / np.log2(np.arange(2, gain.shape[1] + 2))
    return _ratio(gain @ discount, ideal @ discount)


def recall(gain: FloatArray, sizes: IntArray) -> FloatArray:
    """Hits among the k listed over min(k, |truth|): a perfect list scores 1 however large the truth is."""
    return _ratio(gain.sum(axis=1), np.minimum(sizes, gain.shape[1]))


def average_precision(gain: FloatArray, sizes: IntArray) -> FloatArray:
    """Sum of the precision at each hit over min(k, |truth|) (MAP@k as in the H&M competition)."""
    precision = np.cumsum(gain, axis=1) / np.arange(1, gain.shape[1] + 1)
    return _ratio((precision * gain).sum(axis=1), np.minimum(sizes, gain.shape[1]))


def reciprocal_rank(gain: FloatArray, sizes: IntArray) -> FloatArray:
    """1 / rank of the first hit, 0 when the list holds none."""
    first = np.where(gain.any(axis=1), 1.0 / (gain.argmax(axis=1) + 1), 0.0)
    return np.where(sizes > 0, first, np.nan)


def ideal_hits(sizes: IntArray, k: int) -> FloatArray:
    """[groups, k] gains of the ideal list when every relevant item gains 1."""
    return (np.arange(k) < sizes[:, None]).astype(np.float64)


def ideal_gains(truth: Truth, weight: FloatArray, k: int) -> FloatArray:
    """[groups, k] the k largest truth weights of each group, descending, padded by 0."""
    order = np.lexsort((-weight, truth.group))
    group = truth.group[order]
    starts = np.searchsorted(group, np.arange(truth.groups))
    rank = np.arange(len(group)) - starts[group]
    ideal = np.zeros((truth.groups, k))
    ideal[group[rank < k], rank[rank < k]] = weight[order][rank < k]
    return ideal


def relevance_metric(name: str, hit: IntArray, truth: Truth, keep: BoolArray | None = None) -> FloatArray:
    """One of `RELEVANCE_METRICS` for each group [groups], on the whole truth or on a slice of it.

    Args:
        name: the metric.
        hit: [groups, K] from `match`, K >= LIST_LENGTH.
        truth: the relevant items.
        keep: [n] the slice of the truth that counts; a group without any kept row is NaN.
    """
    gain, sizes = relevance(hit, keep), truth.sizes(keep)
    match name:
        case "ndcg_10":
            return ndcg(gain[:, :10], ideal_hits(sizes, 10))
        case "recall_20":
            return recall(gain[:, :20], sizes)
        case "map_12":
            return average_precision(gain[:, :12], sizes)
        case "mrr":
            return reciprocal_rank(gain[:, :LIST_LENGTH], sizes)
        case "revenue_ndcg_10":
            weight = truth.revenue if keep is None else np.where(keep, truth.revenue, 0.0)
            money = np.where(hit >= 0, weight[hit], 0.0) if len(weight) else np.zeros(hit.shape)
            return ndcg(money[:, :10], ideal_gains(truth, weight, 10))
        case _:
            raise ValueError(f"unknown metric {name!r}; known are {', '.join(RELEVANCE_METRICS)}")


def group_metrics(lists: IntArray, truth: Truth, share: FloatArray) -> dict[str, FloatArray]:
    """Every metric of `METRICS` for each group.

    Args:
        lists: [groups, K] item codes by rank, K >= LIST_LENGTH, shorter lists padded by -1.
        truth: the relevant items.
        share: [groups, K] share of customers who bought the listed item lately (any value where the list is
            -1).
    """
    hit = match(lists, truth)
    found = {name: relevance_metric(name, hit, truth) for name in RELEVANCE_METRICS}
    return {**found, "novelty_10": novelty(lists[:, :10], share[:, :10], truth.sizes())}


def novelty(lists: IntArray, share: FloatArray, sizes: IntArray) -> FloatArray:
    """Mean self-information -log2(share) of the listed items in bits (Zhou et al. 2010); NaN if none."""
    listed = lists >= 0
    bits = np.where(listed, -np.log2(np.where(listed, share, 1.0)), 0.0).sum(axis=1)
    return np.where(sizes > 0, _ratio(bits, listed.sum(axis=1)), np.nan)


def coverage(lists: IntArray, catalogue: int, k: int = 10) -> float:
    """Share of the catalogue that is in anybody's first k."""
    return len(np.unique(lists[:, :k][lists[:, :k] >= 0])) / max(catalogue, 1)


def top_k(score: NDArray[np.floating], group: NDArray[np.integer], k: int) -> tuple[IntArray, IntArray]:
    """Row numbers of the k best rows of each group and their ranks (1..k), ties to the earlier row.

    Args:
        score: [n] higher is better.
        group: [n] ascending; rows of a group lie together.
        k: rows per group at most.
    """
    order = np.lexsort((np.arange(len(score)), -score, group))
    ordered = group[order]
    rank = np.arange(len(order)) - np.searchsorted(ordered, ordered) + 1
    best = rank <= k
    return order[best], rank[best]


def _ratio(above: NDArray[np.floating], below: NDArray[np.number]) -> FloatArray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below > 0, above / below, np.nan)
