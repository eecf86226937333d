"""The pictures of an evaluation report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ml_assets.config.model_spec import GateSpec
from ml_assets.evaluation.result import CANDIDATE, CHAMPION, EvaluationResult, Gain, PartResult
from ml_assets.metrics.metric_registry import sign
from ml_assets.reporting.figures import address, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {CANDIDATE: "#c8553d", CHAMPION: "#2d6a8e"}
OTHERS = ("#8a9a5b", "#b0a084", "#7d8597", "#c9b27c", "#9a8c98", "#a5a58d")
GOOD, BAD, UNCLEAR = "#3c7d4f", "#b3392f", "#7d8597"
SLICES_SHOWN = 32


def label(name: str) -> str:
    """How a contender or metric is written for people: `item_knn` -> `item-kNN`, `ndcg_10` -> `NDCG@10`."""
    base, _, k = name.rpartition("_")
    if k.isdigit():
        short = {"ndcg": "NDCG", "map": "MAP", "revenue_ndcg": "revenue NDCG"}.get(base, base)
        return f"{short}@{k}"
    return {
        "ease": "EASE",
        "item_knn": "item-kNN",
        "item_knn_decayed": "item-kNN, decayed",
        "mrr": "MRR",
        "auc": "AUC",
        "brier": "Brier score",
        "logloss": "log loss",
        "rmse": "RMSE",
        "mae": "MAE",
        "r2": "R²",
    }.get(name, name.replace("_", " "))


def colour(name: str, names: Sequence[str]) -> str:
    """The contender's colour: fixed for candidate and champion, by position for baselines."""
    rest = [one for one in names if one not in COLOURS]
    return COLOURS[name] if name in COLOURS else OTHERS[rest.index(name) % len(OTHERS)]


def contenders_figure(result: EvaluationResult) -> Figure:
    """Bars of the gate's metric, one panel per part, best contender on top."""
    figure = new_figure(9.6, 3.2)
    panels = figure.subplots(1, len(result.parts), squeeze=False, sharex=True)[0]
    for axes, (part, judged) in zip(panels, result.parts.items(), strict=True):
        names = list(judged.values)
        order = sorted(names, key=lambda name: sign(result.metric) * (judged.values[name][result.metric] or 0.0))
        values = [judged.values[name][result.metric] or 0.0 for name in order]
        axes.barh([label(name) for name in order], values, color=[colour(name, names) for name in order])
        for height, value in enumerate(values):
            axes.text(value, height, f" {value:.3f}", va="center", fontsize=8)
        axes.set_title(f"{part}: {judged.groups:,} {'lists' if judged.ceiling is not None else 'events'}", fontsize=10)
        axes.set_xlabel(label(result.metric))
        axes.margins(x=0.15)
        _plain(axes)
    return figure


def decisions_figure(result: EvaluationResult) -> Figure:
    """The gate's metric of every contender at each evaluated decision; the holdout is shaded."""
    figure = new_figure(9.6, 3.4)
    axes = figure.subplots()
    names = list(next(iter(result.parts.values())).by_decision)
    days = [day for judged in result.parts.values() for day in judged.decisions]
    for name in names:
        values = [v for judged in result.parts.values() for v in judged.by_decision[name]]
        known = [float("nan") if value is None else value for value in values]
        width = 2.4 if name in COLOURS else 1.3
        axes.plot(range(len(days)), known, "o-", ms=3.5, lw=width, color=colour(name, names), label=label(name))
    tested = len(next(iter(result.parts.values())).decisions)
    if tested < len(days):
        axes.axvspan(tested - 0.5, len(days) - 0.5, color="#f0ece2", zorder=0, label="holdout")
    axes.set_xticks(range(len(days)), [day.isoformat() for day in days], fontsize=8)
    if len(days) > 10:
        axes.tick_params(axis="x", rotation=60)
    axes.set_ylabel(label(result.metric))
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8, frameon=False, ncols=1, loc="center left", bbox_to_anchor=(1.0, 0.5))
    _plain(axes)
    return figure


def gains_figure(result: EvaluationResult, judged: PartResult, gate: GateSpec) -> Figure:
    """Gain over each other contender with its paired interval; the dashed line is the margin asked for."""
    rows = [(label(name), gains[result.metric]) for name, gains in judged.gains.items()]
    return forest(rows, f"gain in {label(result.metric)}", gate.margin, None)


def slices_figure(result: EvaluationResult, judged: PartResult, gate: GateSpec) -> Figure:
    """Gain over the reference in each slice, the largest slices; the dotted line is the tolerated loss."""
    large = sorted(judged.slices, key=lambda one: -one.customers)[:SLICES_SHOWN]
    shown = sorted(large, key=lambda one: (one.column, -one.customers))
    rows = [
        (
            f"{one.column.replace('_', ' ')}: {one.value}  ({one.customers:,}"
            + (")" if one.customers >= gate.slice_min_customers else ", not judged)"),
            one.gains[result.reference],
        )
        for one in shown
    ]
    return forest(rows, f"gain in {label(result.metric)} over {label(result.reference)}", None, -gate.slice_tolerance)


def forest(rows: Sequence[tuple[str, Gain]], title: str, margin: float | None, tolerance: float | None) -> Figure:
    """Gains with their intervals below each other, by name; the margin and the tolerated loss as lines."""
    figure = new_figure(9.6, 0.27 * len(rows) + 1.1)
    axes = figure.subplots()
    for height, (_, gain) in enumerate(reversed(rows)):
        if gain.gain is None or gain.low is None or gain.high is None:
            continue
        tint = GOOD if gain.low > 0 else BAD if gain.high < 0 else UNCLEAR
        axes.plot([gain.low, gain.high], [height, height], color=tint, lw=2, solid_capstyle="round")
        axes.plot([gain.gain], [height], "o", color=tint, ms=5)
    axes.set_yticks(range(len(rows)), [name for name, _ in reversed(rows)], fontsize=8.5)
    axes.set_ylim(-0.7, max(len(rows) - 0.3, 0.7))
    axes.axvline(0, color="#555555", lw=0.8)
    if margin:
        axes.axvline(margin, color="#555555", lw=0.8, ls="--")
    if tolerance is not None:
        axes.axvline(tolerance, color=BAD, lw=0.8, ls=":")
    axes.set_xlabel(title)
    _plain(axes)
    return figure


def inline_file(path: Path) -> str | None:
    """A PNG file as a data address; None when it is not there."""
    return address(path.read_bytes()) if path.exists() else None


def _plain(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=8)
