"""What a binary or regression model has to beat: the mean, the best single feature, a linear model.

All are fitted on what the published booster is fitted on (train and validation), and score test and holdout.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ml_assets.config.model_spec import ModelSpec, Task
from ml_assets.datasets.split import Part
from ml_assets.datasets.training_set import BASELINES, ROWS
from ml_assets.metrics.ranking import FloatArray

BINS = 20
PRIOR_ROWS = 10.0
"""Rows of the overall mean that every bin is blended with."""
RIDGE = 1.0
FURTHEST = 5.0
"""Standard deviations beyond which a value counts as this far: a linear model must not follow an outlier."""

Matrix = NDArray[np.float32]
Predict = Callable[[Matrix], FloatArray]


@dataclass(frozen=True)
class Fitted:
    """A baseline: its name, and what it predicts for rows [n, F]."""

    name: str
    predict: Predict


def fit_baselines(x: Matrix, label: FloatArray, features: tuple[str, ...], task: Task) -> tuple[Fitted, ...]:
    """Fit every baseline: `prior`, `only_<feature>` (the feature that alone explains most) and `linear`."""
    prior = float(label.mean())
    best = _best_feature(x, label)
    return (
        Fitted("prior", lambda rows: np.full(len(rows), prior)),
        Fitted(f"only_{features[best]}", _binned_mean(x[:, best], label, best)),
        Fitted("linear", _linear(x, label, logistic=task is Task.BINARY)),
    )


def write_baselines(spec: ModelSpec, folder: Path, features: tuple[str, ...]) -> None:
    """Score test and holdout by every baseline: `baselines.parquet` (contender, split, group, score)."""
    table = pq.read_table(folder / ROWS, columns=[spec.label, "split", "group", *features])
    known = table.filter(pc.is_in(table["split"], pa.array([Part.TRAIN.value, Part.VALIDATION.value])))
    judged = table.filter(pc.is_in(table["split"], pa.array([Part.TEST.value, Part.HOLDOUT.value])))
    if not len(known):
        raise ValueError(f"{spec.spine}: no labelled event in train and validation; ingest more days")
    label, x = known[spec.label].to_numpy().astype(np.float64), _matrix(judged, features)
    scored = [
        pa.table(
            {
                "contender": pa.array([fitted.name] * len(judged), pa.string()),
                "split": judged["split"],
                "group": judged["group"],
                "score": pa.array(fitted.predict(x)),
            }
        )
        for fitted in fit_baselines(_matrix(known, features), label, features, spec.task)
    ]
    pq.write_table(pa.concat_tables(scored), folder / BASELINES)


def _matrix(table: pa.Table, features: tuple[str, ...]) -> Matrix:
    columns = [table[name].to_numpy(zero_copy_only=False).astype(np.float32) for name in features]
    return np.stack(columns, axis=1) if columns else np.empty((len(table), 0), dtype=np.float32)


def _best_feature(x: Matrix, label: FloatArray) -> int:
    """The feature whose binned mean, fitted on the older four fifths, errs least on the newest fifth."""
    cut = max(len(label) * 4 // 5, 1)
    errors = [
        float(np.mean((_binned_mean(x[:cut, at], label[:cut], at)(x[cut:]) - label[cut:]) ** 2))
        if cut < len(label)
        else 0.0
        for at in range(x.shape[1])
    ]
    return int(np.argmin(errors))


def _binned_mean(column: Matrix, label: FloatArray, at: int) -> Predict:
    """The mean label by quantile of one feature, a missing value being a bin of its own."""
    known = column[np.isfinite(column)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if len(known) else np.empty(0)

    def bins(values: Matrix) -> NDArray[np.intp]:
        return np.where(np.isfinite(values), np.searchsorted(edges, values, side="right"), len(edges) + 1)

    where = bins(column)
    total = np.bincount(where, weights=label, minlength=len(edges) + 2)
    count = np.bincount(where, minlength=len(edges) + 2)
    means = (total + PRIOR_ROWS * label.mean()) / (count + PRIOR_ROWS)
    return lambda rows: np.asarray(means[bins(rows[:, at])], dtype=np.float64)


def _linear(x: Matrix, label: FloatArray, *, logistic: bool) -> Predict:
    """Ridge or (by reweighted least squares) logistic regression on standardised features, missing ones at the mean."""
    known = np.isfinite(x)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, x, 0.0).sum(axis=0, dtype=np.float64) / count
    spread = np.sqrt((np.where(known, x - mean, 0.0) ** 2).sum(axis=0, dtype=np.float64) / count)

    def design(rows: Matrix) -> FloatArray:
        scaled = np.where(np.isfinite(rows), (rows - mean) / np.where(spread > 0, spread, 1.0), 0.0)
        return np.column_stack([np.ones(len(rows)), np.clip(scaled, -FURTHEST, FURTHEST)])

    a = design(x)
    penalty = RIDGE * np.eye(a.shape[1])
    penalty[0, 0] = 0.0
    if not logistic:
        slopes = np.linalg.solve(a.T @ a + penalty, a.T @ label)
        return lambda rows: np.asarray(design(rows) @ slopes, dtype=np.float64)
    weights: FloatArray = np.zeros(a.shape[1])
    for _ in range(25):
        chance = 1 / (1 + np.exp(-np.clip(a @ weights, -30, 30)))
        curve = np.maximum(chance * (1 - chance), 1e-6)
        step = np.linalg.solve((a * curve[:, None]).T @ a + penalty, a.T @ (label - chance) - penalty @ weights)
        weights = weights + step
        if np.abs(step).max() < 1e-8:
            break
    return lambda rows: np.asarray(1 / (1 + np.exp(-np.clip(design(rows) @ weights, -30, 30))), dtype=np.float64)
