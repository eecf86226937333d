"""Showing now and then a product that the model would not: what makes logged answers fit to judge other models.

Epsilon-greedy on the last position alone: the customer sees at most one product that was not ranked for them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.intp]


def choose(
    order: Rows, k: int, explore: float = 0.0, rng: np.random.Generator | None = None
) -> tuple[Rows, list[float]]:
    """What to show of a ranked list, and how probable it was that this policy shows just that, just there.

    With probability `explore` the last of the k positions goes to one of the n - k candidates below, each as
    likely as the others. Given the ranked list, the propensity of a product at a position is

        1                    at positions 1 … k-1,
        1 - explore          at position k, for the product ranked k-th,
        explore / (n - k)    at position k, for each product ranked below.

    With n <= k there is nothing to draw from: all is shown, with propensity 1. Inverse propensity scores use
    these (Horvitz and Thompson 1952; for logged answers, Bottou et al. 2013, JMLR 14, section 4).

    Args:
        order: the n candidates, best first.
        k: positions, at least 1.
        explore: probability of the draw, in [0, 1).
        rng: where the draws come from; the same state gives the same answer.

    Returns:
        The candidates shown [min(k, n)], and the propensity of each.

    Raises:
        ValueError: when it is to explore and has nothing to draw with.
    """
    shown, below = order[:k].copy(), order[k:]
    propensities = [1.0] * len(shown)
    if not explore or not len(below):
        return shown, propensities
    if rng is None:
        raise ValueError("exploration needs a random generator: pass rng")
    if rng.random() < explore:
        shown[-1] = below[rng.integers(len(below))]
        propensities[-1] = explore / len(below)
    else:
        propensities[-1] = 1.0 - explore
    return shown, propensities
