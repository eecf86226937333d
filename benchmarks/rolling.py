"""`python -m benchmarks.rolling MODEL`: does a binary or regression model beat its baselines where nobody looked yet?

A test part that was looked at while a model was made proves nothing about it any more. The days before it still do, as
far as they were only trained on. Rolling origin: five windows of 90 days with events, one after the other, the last one
ending where the model's own test part begins. For each, everything is done anew from the days before it alone:
training set (60 days of validation), tuning, training, baselines. Then the window is predicted, once.

The gain over a baseline (the linear model, the best single feature as the training days show it) is the mean of the
windows' gains; the interval is of that mean, from draws of clusters within each window, with replacement (windows share
no day). What a single window's gate would have said is told too: it has less to go by, and picks the best baseline.

Figures go to benchmarks/results/rolling_<model>.json. Needs a deployment in which the model was trained.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table

from ml_assets.config.model_spec import ModelSpec, model_spec
from ml_assets.config.settings import PROJECT, Settings, load_settings
from ml_assets.datasets.build import build_training_set
from ml_assets.datasets.calendar import decisions_of, split_now
from ml_assets.datasets.labelled import load_labelled
from ml_assets.datasets.split import Part
from ml_assets.evaluation.evaluate import judged
from ml_assets.evaluation.gate import decision_of
from ml_assets.evaluation.result import CANDIDATE, EvaluationResult, GateDecision
from ml_assets.metrics.bootstrap import cluster_draws
from ml_assets.metrics.metric_registry import metrics_of, sign
from ml_assets.metrics.ranking import FloatArray, IntArray
from ml_assets.metrics.tabular import METRICS
from ml_assets.storage.files import write_text_atomically
from ml_assets.storage.warehouse import connect
from ml_assets.training.train import train
from ml_assets.training.tune import tune

if TYPE_CHECKING:
    from feast import FeatureStore

RESULTS = PROJECT / "benchmarks" / "results"
WINDOWS, DAYS, VALIDATION = 5, 90, 60
RIVALS = {"linear": "linear", "only_": "single feature"}
"""What baselines begin with, and what they are called here."""


@dataclass(frozen=True)
class Window:
    """One window judged: the real evaluation of it, and labels, predictions and clusters of its events [n]."""

    days: tuple[date, date]
    trained_on: int
    result: EvaluationResult
    decision: GateDecision
    truth: FloatArray
    own: FloatArray
    rivals: dict[str, FloatArray]
    cluster: IntArray


def main() -> int:
    """Roll through the windows, print and keep what they say."""
    console, settings = Console(highlight=False), load_settings()
    spec = model_spec(sys.argv[1])
    if spec.ranks:
        console.print("rankings have a protocol of their own: make bench-quality")
        return 2
    settings.export()
    with tempfile.TemporaryDirectory(prefix="rolling-") as home:
        scratch = settings.model_copy(update={"home": Path(home), "mlflow_address": None})
        found = []
        for ends in ends_of(spec, settings):
            found.append(judge(spec, settings, scratch, ends))
            console.print(f"   {found[-1].days[0]} to {found[-1].days[1]}: {found[-1].decision.reason}")
    settings.export()
    gains = {rival: mean_gains(spec, found, rival) for rival in RIVALS.values()}
    report = {"windows": [_described(each) for each in found], "mean_gain": gains}
    show(spec, report, console)
    write_text_atomically(RESULTS / f"rolling_{spec.name}.json", json.dumps(report, indent=1) + "\n")
    return 0


def ends_of(spec: ModelSpec, settings: Settings) -> list[date]:
    """The last day of each window, oldest first; all lie before the model's test part."""
    with connect(settings) as warehouse:
        first = split_now(warehouse, spec).test[0]
        before = [day for day in decisions_of(warehouse, spec) if day < first]
    return [before[-1 - DAYS * back] for back in reversed(range(WINDOWS))]


def judge(spec: ModelSpec, settings: Settings, scratch: Settings, ends: date) -> Window:
    """Make the model anew from what was known before a window, and predict the window."""
    store = opened(settings)
    sizes = {"validation": VALIDATION, "test": DAYS, "holdout": 0}
    split = spec.split.model_copy(update=sizes)
    cut = spec.model_copy(update={"split": split})
    dataset = build_training_set(cut, settings, store, newest=ends, into=scratch.home / "sets")
    version = train(cut, scratch, dataset, tune(cut, scratch, dataset).params).version
    result, rows = judged(cut, scratch, dataset, version, parts=(Part.TEST,))
    frame = load_labelled(dataset, Part.TEST, version.features, cut)
    contenders = pc.unique(rows["contender"]).to_pylist()
    scores = {name: rows.filter(pc.equal(rows["contender"], name))["score"].to_numpy() for name in contenders}
    days, counts = dataset.manifest.split[Part.TEST], dataset.manifest.counts
    learned = counts[Part.TRAIN].rows + counts[Part.VALIDATION].rows
    return Window(
        days=(days[0], days[-1]),
        trained_on=learned,
        result=result,
        decision=decision_of(result, cut.gate),
        truth=frame.truth,
        own=scores[CANDIDATE],
        rivals={called: scores[name] for name in scores if (called := _called(name))},
        cluster=frame.cluster,
    )


def _called(contender: str) -> str | None:
    """What a baseline is called in every window, whichever feature it is of."""
    return next((called for begins, called in RIVALS.items() if contender.startswith(begins)), None)


def opened(settings: Settings) -> FeatureStore:
    """The deployment's feature store."""
    from feature_repo.store import open_store

    return open_store(settings)


def mean_gains(spec: ModelSpec, windows: list[Window], rival: str) -> dict[str, dict[str, float]]:
    """By metric the mean gain over a baseline, over the windows, and the interval of it."""
    tail = (1 - spec.gate.confidence) / 2
    found = {}
    for metric in metrics_of(spec.task):
        drawn = np.mean([list(_drawn(spec, metric, rival, at, each)) for at, each in enumerate(windows)], axis=0)
        gains = [_gain(metric, rival, each, np.ones((1, len(each.truth))))[0] for each in windows]
        low, high = np.nanquantile(drawn, [tail, 1 - tail])
        found[metric] = {"gain": float(np.mean(gains)), "low": float(low), "high": float(high)}
    return found


def _drawn(spec: ModelSpec, metric: str, rival: str, at: int, window: Window) -> Iterator[float]:
    """The gain in each draw of a window's clusters."""
    clusters = int(window.cluster.max()) + 1
    for counts in cluster_draws(clusters, spec.gate.draws, spec.training.seed + at, 200):
        yield from _gain(metric, rival, window, counts[:, window.cluster].astype(np.float64))


def _gain(metric: str, rival: str, window: Window, weights: FloatArray) -> FloatArray:
    own, other = (METRICS[metric](window.truth, each, weights) for each in (window.own, window.rivals[rival]))
    return sign(metric) * (own - other)


def _described(window: Window) -> dict[str, Any]:
    test = window.result.parts[Part.TEST.value]
    return {
        "first": str(window.days[0]),
        "last": str(window.days[1]),
        "trained_on": window.trained_on,
        "events": len(window.truth),
        "values": {_called(name) or name: values for name, values in test.values.items()},
        "gate": window.decision.reason,
        "promoted": window.decision.promote,
    }


def show(spec: ModelSpec, report: dict[str, Any], console: Console) -> None:
    """A row per window, and a line per baseline and metric."""
    metric, rivals = spec.gate.metric, list(RIVALS.values())
    shown = Table("window", "learned from", "events", f"{metric}: model", *rivals, "its gate")
    for each in report["windows"]:
        values = [f"{each['values'][name][metric]:.4f}" for name in (CANDIDATE, *rivals)]
        days = f"{each['first']} to {each['last']}"
        passed = "passes" if each["promoted"] else "stopped"
        shown.add_row(days, f"{each['trained_on']:,}", f"{each['events']:,}", *values, passed)
    console.print(shown)
    for rival, means in report["mean_gain"].items():
        for name, mean in means.items():
            said = f"{mean['gain']:+.4f} [{mean['low']:+.4f}, {mean['high']:+.4f}]"
            console.print(f"mean gain over {rival}, {name}: {said} ({spec.gate.confidence:.0%} interval)")


if __name__ == "__main__":
    sys.exit(main())
