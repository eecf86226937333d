"""Metrics of predictions row by row, vectorised over weightings of the rows: that is what a bootstrap needs.

Every function takes truth [n], prediction [n] and weights [d, n] (how often each row was drawn) and gives [d] values,
NaN where they are undefined (no row, one class only).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ml_assets.metrics.ranking import FloatArray, IntArray

CLOSEST = 1e-15
"""Probabilities are kept this far from 0 and 1, where a log loss would be infinite."""
BINS = 10

Metric = Callable[[FloatArray, FloatArray, FloatArray], FloatArray]


def average_precision(truth: FloatArray, predicted: FloatArray, weights: FloatArray) -> FloatArray:
    """Sum of the precision at each threshold times the recall it adds; rows of one score count at once."""
    positives, everybody = _by_score(truth, predicted, weights, descending=True)
    precision = _ratio(positives.cumsum(axis=1), everybody.cumsum(axis=1))
    gained = np.where(positives > 0, positives * precision, 0.0).sum(axis=1)
    return _ratio(gained, positives.sum(axis=1))


def auc(truth: FloatArray, predicted: FloatArray, weights: FloatArray) -> FloatArray:
    """Chance that a positive row scores above a negative one, ties one half (Hanley and McNeil 1982)."""
    positives, everybody = _by_score(truth, predicted, weights, descending=False)
    negatives = everybody - positives
    below = negatives.cumsum(axis=1) - negatives / 2
    return _ratio((positives * below).sum(axis=1), positives.sum(axis=1) * negatives.sum(axis=1))


def logloss(truth: FloatArray, predicted: FloatArray, weights: FloatArray) -> FloatArray:
    """Mean negative log likelihood in nats."""
    kept = np.clip(predicted, CLOSEST, 1 - CLOSEST)
    return _mean(-np.where(truth > 0, np.log(kept), np.log1p(-kept)), weights)


def brier(truth: FloatArray, predicted: FloatArray, weights: FloatArray) -> FloatArray:
    """Mean squared distance of the probability from what happened (Brier 1950)."""
    return _mean((predicted - truth) ** 2, weights)


def calibration_error(truth: FloatArray, predicted: FloatArray, weights: FloatArray) -> FloatArray:
    """Expected calibration error over ten bins of equally many rows (Naeini et al. 2015)."""
    bins = quantile_bins(predicted)
    off = np.stack([weights[:, bins == at] @ (truth - predicted)[bins == at] for at in range(BINS)])
    return _ratio(np.abs(off).sum(axis=0), weights.sum(axis=1))


def rmse(truth: FloatArray, predicted: FloatArray, weights: FloatArray) -> FloatArray:
    """Root of the mean squared error, in the label's unit."""
    return np.sqrt(_mean((predicted - truth) ** 2, weights))


def mae(truth: FloatArray, predicted: FloatArray, weights: FloatArray) -> FloatArray:
    """Mean absolute error, in the label's unit."""
    return _mean(np.abs(predicted - truth), weights)


def r2(truth: FloatArray, predicted: FloatArray, weights: FloatArray) -> FloatArray:
    """Share of the label's variance that is explained; below 0 when the mean would have been better."""
    centred = truth - truth.mean() if len(truth) else truth  # otherwise large labels cost all digits
    spread = _mean(centred**2, weights) - _mean(centred, weights) ** 2
    return 1 - _ratio(_mean((predicted - truth) ** 2, weights), spread)


METRICS: dict[str, Metric] = {
    "average_precision": average_precision,
    "auc": auc,
    "logloss": logloss,
    "brier": brier,
    "calibration_error": calibration_error,
    "rmse": rmse,
    "mae": mae,
    "r2": r2,
}
"""Every metric by name; `scales.ROW_METRICS` says which a task has."""


def quantile_bins(predicted: FloatArray) -> IntArray:
    """[n] number of each row's bin, 0 to BINS - 1, by rank: about equally many rows each, ties by position."""
    rank = np.empty(len(predicted), dtype=np.int64)
    rank[np.argsort(predicted, kind="stable")] = np.arange(len(predicted))
    return rank * BINS // max(len(predicted), 1)


def once(rows: int) -> FloatArray:
    """The weights of a plain evaluation: [1, rows], every row once."""
    return np.ones((1, rows))


def _by_score(
    truth: FloatArray, predicted: FloatArray, weights: FloatArray, *, descending: bool
) -> tuple[FloatArray, FloatArray]:
    """Weight of the positive rows and of all rows [d, distinct scores], in the scores' order."""
    if not len(truth):
        return np.zeros((len(weights), 1)), np.zeros((len(weights), 1))
    order = np.argsort(-predicted if descending else predicted, kind="stable")
    sorted_scores, sorted_weights = predicted[order], weights[:, order]
    starts = np.flatnonzero(np.concatenate([[True], sorted_scores[1:] != sorted_scores[:-1]]))
    positive: NDArray[np.float64] = np.add.reduceat(sorted_weights * (truth[order] > 0), starts, axis=1)
    return positive, np.add.reduceat(sorted_weights, starts, axis=1)


def _mean(values: FloatArray, weights: FloatArray) -> FloatArray:
    return _ratio(weights @ values, weights.sum(axis=1))


def _ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below > 0, above / below, np.nan)
