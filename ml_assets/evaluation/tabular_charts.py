"""The pictures of a binary or regression model's evaluation: how good and how honest its predictions are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml_assets.config.model_spec import Task
from ml_assets.evaluation.charts import colour, label
from ml_assets.evaluation.result import CANDIDATE
from ml_assets.metrics.ranking import FloatArray
from ml_assets.metrics.tabular import BINS, quantile_bins
from ml_assets.reporting.figures import inline, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN = 4000
"""Points of a scatter plot at most, evenly spaced among the rows."""

Pairs = Mapping[str, tuple[FloatArray, FloatArray]]


def row_pictures(task: Task, scored: pa.Table, part: str) -> list[tuple[str, str]]:
    """What the pictures show, and the pictures as data addresses, of one part of the predictions.

    Args:
        task: binary or regression.
        scored: columns contender, split, label, score.
        part: the part to draw.
    """
    pairs = _pairs(scored, part)
    if task is Task.BINARY:
        return [
            ("precision at each recall", inline(lambda: precision_recall(pairs))),
            (
                "share that happened at each predicted probability, in bins of equally many rows",
                inline(lambda: calibration(pairs)),
            ),
        ]
    return [
        ("predicted and actual values", inline(lambda: predicted_actual(*pairs[CANDIDATE]))),
        ("what is left of the label at each prediction", inline(lambda: residuals(*pairs[CANDIDATE]))),
    ]


def precision_recall(pairs: Pairs) -> Figure:
    """Precision over recall of every contender."""
    figure, axes = _square()
    for name, (truth, score) in pairs.items():
        order = np.argsort(-score, kind="stable")
        last = np.append(score[order][1:] != score[order][:-1], True)
        hits = np.cumsum(truth[order])[last]
        seen = np.arange(1, len(score) + 1)[last]
        axes.plot(hits / max(truth.sum(), 1), hits / seen, color=colour(name, list(pairs)), label=label(name))
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1))
    axes.legend(fontsize=8, frameon=False)
    return figure


def calibration(pairs: Pairs) -> Figure:
    """Share of positives against the mean prediction, ten bins per contender; the diagonal is honest."""
    figure, axes = _square()
    axes.plot([0, 1], [0, 1], color="#999999", lw=0.8, ls="--")
    for name, (truth, score) in pairs.items():
        bins = quantile_bins(score)
        there = [bins == at for at in range(BINS) if (bins == at).any()]
        means, shares = [score[one].mean() for one in there], [truth[one].mean() for one in there]
        axes.plot(means, shares, "o-", ms=4, color=colour(name, list(pairs)), label=label(name))
    axes.set(xlabel="predicted probability", ylabel="share that happened")
    axes.legend(fontsize=8, frameon=False)
    return figure


def predicted_actual(truth: FloatArray, score: FloatArray) -> Figure:
    """Actual over predicted values, the diagonal being right."""
    figure, axes = _square()
    shown = _spread(len(truth))
    axes.scatter(score[shown], truth[shown], s=6, alpha=0.5, linewidths=0, color=colour(CANDIDATE, []))
    ends = [min(score.min(), truth.min()), max(score.max(), truth.max())]
    axes.plot(ends, ends, color="#999999", lw=0.8, ls="--")
    axes.set(xlabel="predicted", ylabel="actual")
    return figure


def residuals(truth: FloatArray, score: FloatArray) -> Figure:
    """Actual minus predicted over predicted values: a trend is something the model could still learn."""
    figure, axes = _square()
    shown = _spread(len(truth))
    axes.scatter(score[shown], (truth - score)[shown], s=6, alpha=0.5, linewidths=0, color=colour(CANDIDATE, []))
    axes.axhline(0, color="#999999", lw=0.8, ls="--")
    axes.set(xlabel="predicted", ylabel="actual minus predicted")
    return figure


def _pairs(scored: pa.Table, part: str) -> Pairs:
    own = scored.filter(pc.equal(scored["split"], part))
    names = pc.unique(own["contender"]).to_pylist()
    tables = {name: own.filter(pc.equal(own["contender"], name)) for name in names}
    return {name: (table["label"].to_numpy(), table["score"].to_numpy()) for name, table in tables.items()}


def _spread(rows: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.unique(np.linspace(0, max(rows - 1, 0), min(rows, SHOWN)).astype(np.int64))


def _square() -> tuple[Figure, Axes]:
    figure = new_figure(6.4, 4.6)
    axes = figure.subplots()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=8)
    return figure, axes
