"""Which unlabelled candidates a training group keeps: drawn by a seed, the same on every run."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def keep_negatives(
    label: NDArray[np.integer], group: NDArray[np.integer], negatives: int, seed: int | tuple[int, ...]
) -> NDArray[np.bool_]:
    """Mark every labelled row and at most `negatives` unlabelled rows of each group, uniformly at random.

    A group without any labelled row keeps nothing: a ranking loss learns nothing from it.

    Args:
        label: [n] graded relevance.
        group: [n] ascending group ids; rows of a group lie together.
        negatives: unlabelled rows kept per group at most.
        seed: seeds the draw, with the row order.
    """
    draw = np.random.default_rng(seed).random(len(label))
    unlabelled = label <= 0
    order = np.lexsort((draw, ~unlabelled, group))  # within a group: the unlabelled rows first, shuffled
    group_sorted = group[order]
    start = np.concatenate([[True], group_sorted[1:] != group_sorted[:-1]]) if len(group) else np.zeros(0, bool)
    first = np.maximum.accumulate(np.where(start, np.arange(len(group)), 0))
    position = np.empty(len(group), dtype=np.int64)
    position[order] = np.arange(len(group)) - first
    keep = ~unlabelled | (position < negatives)
    return keep & np.isin(group, np.unique(group[~unlabelled]))


def sample_groups(sizes: NDArray[np.integer], count: int, seed: int) -> NDArray[np.bool_]:
    """Mark the rows of `count` whole groups drawn at random (all of them when there are no more).

    Args:
        sizes: [groups] rows of each group, in row order.
        count: groups to keep.
        seed: seeds the draw.
    """
    kept = np.zeros(len(sizes), dtype=bool)
    kept[np.random.default_rng(seed).permutation(len(sizes))[:count]] = True
    return np.repeat(kept, sizes)
