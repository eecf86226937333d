"""The cheap look before the dear one: would training again help at all?

The champion's own parameters are fitted once more to what a new candidate would be trained on, without tuning and
without early stopping, and both are ranked on the newest decision, which neither has seen.
"""

from __future__ import annotations

import time
from datetime import date

import numpy as np

from ml_assets.learning import ranker
from ml_assets.learning.bootstrap import Interval, paired_intervals
from ml_assets.learning.contenders import Contender, judge, ranked
from ml_assets.learning.evaluation import CANDIDATE, Frozen, Number
from ml_assets.learning.metrics import FloatArray
from ml_assets.learning.spec import ModelSpec
from ml_assets.learning.split import Part
from ml_assets.learning.train import joined
from ml_assets.learning.training_set import DatasetRef, Frame, load_frame, load_rows
from ml_assets.registry.versions import VersionRef
from ml_assets.settings import Settings

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
    frame = load_frame(dataset, Part.TEST, again.features, spec)
    own, rival = (_values(spec, settings, frame, one, again.features) for one in (again, Contender.of(champion)))
    draws, seed = spec.gate.draws, spec.training.seed
    gain = paired_intervals(frame.customer, {metric: own - rival}, draws, CONFIDENCE, seed)[metric]
    helps = gain.gain > spec.retraining.min_gain and gain.low > 0
    return RefitReport(
        metric=metric,
        helps=helps,
        reason=_reason(spec, champion, gain, helps),
        champion=champion.version,
        value=float(np.nanmean(own)),
        champion_value=float(np.nanmean(rival)),
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


def _values(
    spec: ModelSpec, settings: Settings, frame: Frame, contender: Contender, columns: tuple[str, ...]
) -> FloatArray:
    """[groups] the gate's metric of each list of a contender."""
    score = contender.scores(frame.rows.x, columns, settings.threads)
    return judge(frame, ranked(spec, frame, score, CANDIDATE)).values[spec.gate.metric]


def _reason(spec: ModelSpec, champion: VersionRef, gain: Interval, helps: bool) -> str:
    asked = f"more than {spec.retraining.min_gain:.4f} and clear of zero asked"
    found = f"{spec.gate.metric} {gain.gain:+.4f}, {CONFIDENCE:.0%} interval [{gain.low:+.4f}, {gain.high:+.4f}]"
    verdict = "training again helps" if helps else "training again does not help"
    return f"{verdict}: a refit of version {champion.version} on the new training set gains {found}; {asked}"
