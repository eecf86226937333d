"""The cheap look before the dear one: would training again help at all?

The champion's own parameters are fitted once more to what a new candidate would be trained on, without tuning and
without early stopping, and both are ranked on the newest decision, which neither has seen.
"""

from __future__ import annotations

import time
from datetime import date

import numpy as np

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.datasets.labelled import load_labelled
from ml_assets.datasets.split import Part
from ml_assets.datasets.training_set import DatasetRef, Frame, load_frame, load_rows
from ml_assets.evaluation.contenders import Contender, judge, ranked
from ml_assets.evaluation.evaluate_tabular import Asked, paired_gains, value
from ml_assets.evaluation.result import CANDIDATE, Frozen, Gain, Number
from ml_assets.metrics.bootstrap import paired_intervals
from ml_assets.metrics.ranking import FloatArray
from ml_assets.registry.versions import VersionRef
from ml_assets.training import booster as ranker
from ml_assets.training.train import joined

CONFIDENCE = 0.8
"""Level of the refit's interval, weaker than the gate's on purpose.

The refit only decides whether tuning is paid for; the gate judges what comes of it at its own level. Holding back a
training that would have helped costs days of worse answers, letting a useless one through costs minutes of a machine,
and a refit without tuning shows less than the candidate will. So the chance of going on for nothing is 10 %, not 2.5.
"""


LISTS = 8_000
"""Training lists fitted at most, the newest ones: bounds the time, and more of them do not rank better."""


class RefitReport(Frozen):
    """What the refit gains over the champion in the gate's metric, per list, and whether that is worth a training."""

    metric: str
    helps: bool
    reason: str
    champion: str | None = None
    value: Number = None
    champion_value: Number = None
    gain: Number = None
    low: Number = None
    high: Number = None
    confidence: float = CONFIDENCE
    rounds: int = 0
    groups: int = 0
    decisions: tuple[date, ...] = ()
    seconds: float = 0.0


def refit(spec: ModelSpec, settings: Settings, dataset: DatasetRef, champion: VersionRef | None) -> RefitReport:
    """Fit the champion's parameters to the new training set and compare both on its test part.

    It helps when the mean gain per list exceeds `retraining.min_gain` and the paired bootstrap interval (by customer,
    at `CONFIDENCE`) lies above zero. Without a champion there is nothing to compare with: the first model helps.

    Args:
        spec: the model.
        settings: the deployment.
        dataset: the training set a candidate would be trained on; train and validation are fitted, test is judged.
        champion: the version to beat. Its parameters and rounds (`retraining.refit_rounds` at most) are the refit's.

    Raises:
        ValueError: when the training set has no test part.
    """
    metric = spec.gate.metric
    if champion is None:
        return RefitReport(metric=metric, helps=True, reason="there is no champion yet: this is the first model")
    if not dataset.manifest.split[Part.TEST]:
        raise ValueError(f"{dataset.path} has no test decisions to judge a refit on: give retraining.split.test >= 1")
    started = time.perf_counter()
    rounds = min(int(champion.metrics.get("rounds", spec.training.rounds)), spec.retraining.refit_rounds)
    again = _fitted(spec, dataset, champion, rounds)
    compare = _compared_lists if spec.ranks else _compared_rows
    own, rival, gain = compare(spec, settings, dataset, again, Contender.of(champion))
    helps = (gain.gain or 0.0) > spec.retraining.min_gain and (gain.low or 0.0) > 0
    return RefitReport(
        metric=metric,
        helps=helps,
        reason=_reason(spec, champion, gain, helps),
        champion=champion.version,
        value=own,
        champion_value=rival,
        gain=gain.gain,
        low=gain.low,
        high=gain.high,
        rounds=rounds,
        groups=gain.groups,
        decisions=dataset.manifest.split[Part.TEST],
        seconds=round(time.perf_counter() - started, 1),
    )


def _fitted(spec: ModelSpec, dataset: DatasetRef, champion: VersionRef, rounds: int) -> Contender:
    """The champion's parameters on what the published booster of a candidate would know: train and validation."""
    features = dataset.manifest.features
    rows = load_rows(dataset, Part.TRAIN, features, spec)
    rows = joined(rows, load_rows(dataset, Part.VALIDATION, features, spec), spec)
    newest = np.arange(len(rows.sizes)) >= len(rows.sizes) - LISTS
    rows = rows.take(np.repeat(newest, rows.sizes))
    params = {**champion.params, **spec.training.params}  # what the YAML says goes over what tuning found, as ever
    return Contender(ranker.fit(params, ranker.binned(rows, features, params), rounds), features)


def _compared_lists(
    spec: ModelSpec, settings: Settings, dataset: DatasetRef, again: Contender, champion: Contender
) -> tuple[float, float, Gain]:
    """Mean of the gate's metric of both on the test lists, and the gain."""
    metric, columns = spec.gate.metric, again.features
    frame = load_frame(dataset, Part.TEST, columns, spec)
    own, rival = (_values(spec, settings, frame, one, columns) for one in (again, champion))
    draws, seed = spec.gate.draws, spec.training.seed
    gain = paired_intervals(frame.customer, {metric: own - rival}, draws, CONFIDENCE, seed)[metric]
    return float(np.nanmean(own)), float(np.nanmean(rival)), Gain(**vars(gain))


def _compared_rows(
    spec: ModelSpec, settings: Settings, dataset: DatasetRef, again: Contender, champion: Contender
) -> tuple[float, float, Gain]:
    """The gate's metric of both on the test events, and the gain."""
    metric, columns = spec.gate.metric, again.features
    frame = load_labelled(dataset, Part.TEST, columns, spec)
    own, rival = (one.scores(frame.rows.x, columns, settings.threads) for one in (again, champion))
    asked = {metric: Asked(metric, np.ones(len(frame.row), dtype=bool))}
    gain = paired_gains(spec, frame, own, rival, asked, confidence=CONFIDENCE)[metric]
    return value(metric, frame.truth, own), value(metric, frame.truth, rival), gain


def _values(
    spec: ModelSpec, settings: Settings, frame: Frame, contender: Contender, columns: tuple[str, ...]
) -> FloatArray:
    """[groups] the gate's metric of each list of a contender."""
    score = contender.scores(frame.rows.x, columns, settings.threads)
    return judge(frame, ranked(spec, frame, score, CANDIDATE)).values[spec.gate.metric]


def _reason(spec: ModelSpec, champion: VersionRef, gain: Gain, helps: bool) -> str:
    asked = f"more than {spec.retraining.min_gain:.4f} and clear of zero asked"
    figures = ("undefined" if one is None else f"{one:+.4f}" for one in (gain.gain, gain.low, gain.high))
    found = "{} {}, {:.0%} interval [{}, {}]".format(spec.gate.metric, next(figures), CONFIDENCE, *figures)
    verdict = "training again helps" if helps else "training again does not help"
    return f"{verdict}: a refit of version {champion.version} on the new training set gains {found}; {asked}"
