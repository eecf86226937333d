"""Predictions judged row by row: metrics of each contender, and how sure the gains over the others are.

Average precision, AUC and RMSE are no means over rows, so a draw of the bootstrap weighs the rows and the metric is
taken anew; contenders are weighed alike, hence paired (Efron and Tibshirani 1993, percentile interval). What `cluster`
names is drawn together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ml_assets.config.model_spec import ModelSpec, Task
from ml_assets.config.settings import Settings
from ml_assets.datasets.labelled import Labelled, load_labelled
from ml_assets.datasets.split import Part
from ml_assets.datasets.training_set import BASELINES, DatasetRef
from ml_assets.evaluation.contenders import Contender, slice_masks
from ml_assets.evaluation.result import CANDIDATE, Gain, PartResult, SliceResult
from ml_assets.metrics.bootstrap import cluster_draws
from ml_assets.metrics.metric_registry import ROW_METRICS, sign
from ml_assets.metrics.ranking import FloatArray
from ml_assets.metrics.tabular import METRICS, once
from ml_assets.registry.versions import VersionRef

PERIODS = 12
"""Stretches of time a part is shown in: a single day has too few events for a curve."""
CELLS = 4_000_000
"""Weights held at a time (draws x rows): bounds the memory, not the result."""

Scores = Mapping[str, FloatArray]


@dataclass(frozen=True)
class Asked:
    """One comparison: the metric, and the rows it is taken over."""

    metric: str
    keep: NDArray[np.bool_]


def judge_rows(
    spec: ModelSpec,
    settings: Settings,
    dataset: DatasetRef,
    part: Part,
    *,
    versions: dict[str, VersionRef],
    wanted: Sequence[str],
) -> tuple[PartResult, pa.Table]:
    """The result of a part, and every contender's prediction of each row with its label.

    Args:
        spec: the model.
        settings: the deployment.
        dataset: the training set.
        part: which part of it.
        versions: candidate and champion by their contender's name.
        wanted: the features they take.
    """
    frame = load_labelled(dataset, part, wanted, spec)
    scores = {name: Contender.of(ref).scores(frame.rows.x, wanted, settings.threads) for name, ref in versions.items()}
    scores |= _baselines(dataset, frame)
    return summary(spec, frame, scores), _table(frame, scores)


def summary(spec: ModelSpec, frame: Labelled, scores: Scores) -> PartResult:
    """Values, gains of the candidate with intervals, slices, and the gate's metric over time."""
    names, truth = ROW_METRICS[spec.task], frame.truth
    everything = np.ones(len(truth), dtype=bool)
    kept = slice_masks(frame.slices)
    asked = {name: Asked(name, everything) for name in names}
    asked |= {"=".join(where): Asked(spec.gate.metric, keep) for where, keep in kept.items()}
    others = [name for name in scores if name != CANDIDATE]
    gains = {name: paired_gains(spec, frame, scores[CANDIDATE], scores[name], asked) for name in others}
    days, period = _periods(frame)
    return PartResult(
        decisions=days,
        customers=len(np.unique(frame.cluster)),
        groups=len(truth),
        relevant=int(truth.sum()) if spec.task is Task.BINARY else len(truth),
        ceiling=None,
        values={name: {m: value(m, truth, score) for m in names} for name, score in scores.items()},
        gains={name: {m: gains[name][m] for m in names} for name in others},
        by_decision={
            name: tuple(value(spec.gate.metric, truth[period == at], score[period == at]) for at in range(len(days)))
            for name, score in scores.items()
        },
        slices=tuple(
            SliceResult(
                column=where[0],
                value=where[1],
                customers=len(np.unique(frame.cluster[keep])),
                groups=int(keep.sum()),
                values={name: value(spec.gate.metric, truth[keep], score[keep]) for name, score in scores.items()},
                gains={name: gains[name]["=".join(where)] for name in others},
            )
            for where, keep in kept.items()
        ),
    )


def value(metric: str, truth: FloatArray, predicted: FloatArray) -> float:
    """A metric over the rows, each once."""
    return float(METRICS[metric](truth, predicted, once(len(truth)))[0])


def paired_gains(
    spec: ModelSpec,
    frame: Labelled,
    own: FloatArray,
    other: FloatArray,
    asked: Mapping[str, Asked],
    *,
    confidence: float | None = None,
) -> dict[str, Gain]:
    """What one prediction gains over another in each comparison, signed so that more is better.

    Args:
        spec: the model; `gate` says draws and level, `training` the seed.
        frame: the rows.
        own: [n] predictions judged.
        other: [n] predictions they are compared with.
        asked: the comparisons by name.
        confidence: another level than the gate's.
    """
    truth, tail = frame.truth, (1 - (confidence or spec.gate.confidence)) / 2
    drawn: dict[str, list[FloatArray]] = {name: [] for name in asked}
    for weights in _draws(frame, spec.gate.draws, spec.training.seed):
        for name, one in asked.items():
            drawn[name].append(_gain(one, truth, own, other, weights))
    found = {}
    for name, one in asked.items():
        values = np.concatenate(drawn[name])
        values = values[np.isfinite(values)]
        low, high = np.quantile(values, [tail, 1 - tail]) if len(values) else (np.nan, np.nan)
        found[name] = Gain(
            gain=float(_gain(one, truth, own, other, once(len(truth)))[0]),
            low=float(low),
            high=float(high),
            customers=len(np.unique(frame.cluster[one.keep])),
            groups=int(one.keep.sum()),
        )
    return found


def _gain(one: Asked, truth: FloatArray, own: FloatArray, other: FloatArray, weights: FloatArray) -> FloatArray:
    whole = bool(one.keep.all())
    metric, kept = METRICS[one.metric], weights if whole else weights[:, one.keep]
    ours, theirs = (metric(truth[one.keep], score[one.keep], kept) for score in (own, other))
    return sign(one.metric) * (ours - theirs)


def _draws(frame: Labelled, draws: int, seed: int) -> Iterator[FloatArray]:
    """Weights [some draws, n] of clusters drawn with replacement, in pieces; the same for every contender."""
    clusters, rows = int(frame.cluster.max(initial=-1)) + 1, len(frame.cluster)
    for counts in cluster_draws(clusters, draws, seed, CELLS // max(rows, 1)):
        yield counts[:, frame.cluster].astype(np.float64)


def _periods(frame: Labelled) -> tuple[tuple[date, ...], NDArray[np.int64]]:
    """The first day of each stretch of the part, and the stretch [n] of each row."""
    count = min(PERIODS, len(frame.days))
    period = frame.day * count // max(len(frame.days), 1)
    starts = [int(np.argmax(np.arange(len(frame.days)) * count // len(frame.days) == at)) for at in range(count)]
    return tuple(frame.days[at] for at in starts), period


def _baselines(dataset: DatasetRef, frame: Labelled) -> dict[str, FloatArray]:
    """Every baseline's predictions of the frame's rows, in their order."""
    table = pq.read_table(dataset.path / BASELINES, filters=[("split", "=", frame.part.value)])
    found = {}
    for name in sorted(pc.unique(table["contender"]).to_pylist()):
        own = table.filter(pc.equal(table["contender"], name))
        at = np.argsort(own["group"].to_numpy(), kind="stable")
        rows = own["group"].to_numpy()[at]
        found[name] = own["score"].to_numpy()[at][np.searchsorted(rows, frame.row)]
    return found


def _table(frame: Labelled, scores: Scores) -> pa.Table:
    columns = [
        pa.table(
            {
                "contender": np.full(len(frame.row), name),
                "split": np.full(len(frame.row), frame.part.value),
                "row": frame.row,
                "label": frame.truth,
                "score": score,
            }
        )
        for name, score in scores.items()
    ]
    return pa.concat_tables(columns)
