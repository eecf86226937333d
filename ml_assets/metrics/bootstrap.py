"""Bootstrap intervals of a mean gain, paired by customer.

A customer's decisions are not independent: they are resampled together. Both contenders are judged on the
same groups, so only the per-group difference is resampled (Efron and Tibshirani 1993, percentile interval of
a ratio of
sums: total gain over number of groups).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_CELLS = 8_000_000
"""Draw counts held at a time (draws x customers): bounds the memory, not the result."""


@dataclass(frozen=True)
class Interval:
    """A mean gain per group and its interval; NaN throughout when no group counts."""

    gain: float
    low: float
    high: float
    customers: int
    groups: int


def paired_intervals(
    customer: NDArray[np.integer],
    gains: Mapping[str, FloatArray],
    draws: int,
    confidence: float,
    seed: int,
) -> dict[str, Interval]:
    """Interval of each mean gain, all from the same draws of customers.

    Args:
        customer: [groups] customer code of each group, 0..customers-1.
        gains: name -> [groups] difference of two contenders; NaN where a group does not count.
        draws: bootstrap draws.
        confidence: level of the interval, within (0, 1).
        seed: seeds the draws.
    """
    if not gains:
        return {}
    names = list(gains)
    matrix = np.stack([gains[name] for name in names], axis=1)
    counted = ~np.isnan(matrix)
    customers = int(customer.max()) + 1 if len(customer) else 0
    total = _by_customer(customer, np.where(counted, matrix, 0.0), customers)
    count = _by_customer(customer, counted.astype(np.float64), customers)
    drawn = _draw(total, count, draws, seed)
    found: dict[str, Interval] = {}
    for at, name in enumerate(names):
        seen = count[:, at] > 0
        groups = float(count[:, at].sum())
        if not groups:
            found[name] = Interval(float("nan"), float("nan"), float("nan"), 0, 0)
            continue
        tail = (1 - confidence) / 2
        low, high = np.nanquantile(drawn[:, at], [tail, 1 - tail])
        gain = float(total[:, at].sum() / groups)
        found[name] = Interval(gain, float(low), float(high), int(seen.sum()), int(groups))
    return found


def _by_customer(customer: NDArray[np.integer], values: FloatArray, customers: int) -> FloatArray:
    summed = np.zeros((customers, values.shape[1]))
    np.add.at(summed, customer, values)
    return summed


def _draw(total: FloatArray, count: FloatArray, draws: int, seed: int) -> FloatArray:
    """[draws, columns] mean gain of each draw of customers, with replacement; NaN without groups."""
    customers, at = len(total), 0
    drawn = np.full((draws, total.shape[1]), np.nan)
    for counts in cluster_draws(customers, draws, seed, _CELLS // max(customers, 1)):
        weights = counts.astype(float)
        above, below = weights @ total, weights @ count
        np.divide(above, below, out=drawn[at : at + len(counts)], where=below > 0)
        at += len(counts)
    return drawn


def cluster_draws(clusters: int, draws: int, seed: int, step: int) -> Iterator[NDArray[np.int64]]:
    """How often each cluster is in each draw with replacement: [at most `step`, clusters] at a time, `draws` in all.

    The same seed gives the same draws, whatever `step`; without clusters there is none.
    """
    generator, step = np.random.default_rng(seed), max(1, step)
    for start in range(0, draws if clusters else 0, step):
        yield generator.multinomial(clusters, np.full(clusters, 1 / clusters), size=min(step, draws - start))
