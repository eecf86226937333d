"""What a booster looks at: split gains and SHAP values, as tables and pictures."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ml_assets.reporting.figures import new_figure, png

if TYPE_CHECKING:
    import lightgbm
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

logger = logging.getLogger("ml_assets.training.importance")

FloatArray = NDArray[np.float64]

SAMPLE = 800
"""Rows explained: SHAP costs trees x leaves x depth^2 each."""

SHOWN = 20
IMPORTANCE_PLOT, SHAP_PLOT = "importance.png", "shap.png"


@dataclass(frozen=True)
class Importance:
    """One feature's weight: share of the total split gain, mean absolute SHAP value (score units)."""

    feature: str
    gain: float
    shap: float


def explain(
    booster: lightgbm.Booster, x: NDArray[np.float32], features: Sequence[str], folder: Path, seed: int
) -> tuple[Importance, ...]:
    """Rank the features and draw `importance.png` and `shap.png` into the folder.

    SHAP values are LightGBM's own (TreeSHAP, Lundberg et al. 2018), on a sample of rows drawn by the seed.

    Returns:
        Every feature, the most important (by mean absolute SHAP) first.
    """
    rows = np.sort(np.random.default_rng(seed).permutation(len(x))[:SAMPLE])
    values = shap_values(booster, x[rows])
    gain = booster.feature_importance("gain").astype(np.float64)
    gain = gain / max(gain.sum(), 1e-300)
    mean = np.abs(values).mean(axis=0)
    order = np.lexsort((np.arange(len(mean)), -mean))
    ranked = tuple(Importance(features[at], float(gain[at]), float(mean[at])) for at in order)
    folder.mkdir(parents=True, exist_ok=True)
    _save(lambda: importance_figure(ranked), folder / IMPORTANCE_PLOT)
    _save(lambda: shap_figure(values, x[rows], features, order[:SHOWN]), folder / SHAP_PLOT)
    return ranked


def shap_values(booster: lightgbm.Booster, x: NDArray[np.float32]) -> FloatArray:
    """SHAP values [n, F]; with the expected value those of a row add up to its raw score."""
    return np.asarray(booster.predict(x, pred_contrib=True), dtype=np.float64)[:, :-1]


def importance_figure(ranked: Sequence[Importance]) -> Figure:
    """Horizontal bars: share of split gain, the strongest on top."""
    shown = sorted(ranked, key=lambda one: -one.gain)[:SHOWN][::-1]
    figure = new_figure(8, 0.3 * len(shown) + 1.2)
    axes = figure.subplots()
    axes.barh([one.feature for one in shown], [100 * one.gain for one in shown], color="#3b6ea5")
    axes.set_xlabel("share of total split gain, %")
    _plain(axes)
    return figure


def shap_figure(
    values: FloatArray, x: NDArray[np.float32], features: Sequence[str], order: NDArray[np.integer]
) -> Figure:
    """One dot per row and feature: where it moved the score, coloured by its value (grey: missing)."""
    figure = new_figure(8, 0.32 * len(order) + 1.4)
    axes = figure.subplots()
    jitter = np.random.default_rng(0).uniform(-0.28, 0.28, len(values))
    dots = None
    for height, at in enumerate(order[::-1]):
        known = ~np.isnan(x[:, at])
        axes.scatter(values[~known, at], height + jitter[~known], s=4, color="#c4c4c4", linewidths=0)
        tint = _percentile(x[known, at])
        dots = axes.scatter(
            values[known, at],
            height + jitter[known],
            s=4,
            c=tint,
            cmap="coolwarm",
            vmin=0,
            vmax=1,
            linewidths=0,
        )
    axes.set_yticks(range(len(order)), [features[at] for at in order[::-1]])
    axes.axvline(0, color="#888888", linewidth=0.8)
    axes.set_xlabel("SHAP value: change of the ranking score")
    if dots is not None:
        bar = figure.colorbar(dots, ax=axes, ticks=[0, 1], aspect=40, pad=0.01)
        bar.ax.set_yticklabels(["low", "high"])
        bar.set_label("feature value", labelpad=-12)
    _plain(axes)
    return figure


def _percentile(values: NDArray[np.float32]) -> FloatArray:
    """Rank of each value among all, 0..1; equal values share a rank."""
    if not len(values):
        return np.zeros(0)
    ordered = np.sort(values)
    return np.asarray(np.searchsorted(ordered, values, side="right") / len(values), dtype=np.float64)


def _plain(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", labelsize=8)


def _save(draw: Callable[[], Figure], path: Path) -> None:
    """Write the picture; one that cannot be drawn is not there."""
    from ml_assets.storage.files import replace_file

    try:
        drawn = png(draw(), 110)
    except Exception:  # whatever a picture fails by, the model is what matters
        logger.warning("%s could not be drawn", path, exc_info=True)
        path.unlink(missing_ok=True)
        return
    with replace_file(path) as aside:
        aside.write_bytes(drawn)
