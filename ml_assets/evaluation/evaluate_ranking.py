"""A ranking judged: each contender's lists over the full catalogue, next to the champion's and the baselines'."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.datasets.split import Part
from ml_assets.datasets.training_set import BASELINES, DatasetRef, Frame, load_frame
from ml_assets.evaluation.contenders import Contender, Judged, judge, ranked, slice_masks
from ml_assets.evaluation.result import CANDIDATE, Gain, PartResult, SliceResult
from ml_assets.metrics import ranking as metrics
from ml_assets.metrics.bootstrap import paired_intervals
from ml_assets.metrics.ranking import FloatArray
from ml_assets.registry.versions import VersionRef


def judge_lists(
    spec: ModelSpec,
    settings: Settings,
    dataset: DatasetRef,
    part: Part,
    *,
    versions: dict[str, VersionRef],
    wanted: Sequence[str],
) -> tuple[PartResult, pa.Table]:
    """The result of a part, and the ranked lists of the versions.

    Args:
        spec: the model.
        settings: the deployment.
        dataset: the training set.
        part: which part of it.
        versions: candidate and champion by their contender's name.
        wanted: the features they take.
    """
    frame = load_frame(dataset, part, wanted, spec)
    scores = {name: Contender.of(ref).scores(frame.rows.x, wanted, settings.threads) for name, ref in versions.items()}
    lists = {name: ranked(spec, frame, score, name) for name, score in scores.items()}
    baselines = pq.read_table(dataset.path / BASELINES)
    for name in sorted(pc.unique(baselines["contender"]).to_pylist()):
        lists[name] = baselines.filter(pc.equal(baselines["contender"], name))
    contenders = {name: judge(frame, table) for name, table in lists.items()}
    own = pa.concat_tables([lists[name] for name in versions])
    return _summary(spec, frame, contenders), own


def _summary(spec: ModelSpec, frame: Frame, contenders: dict[str, Judged]) -> PartResult:
    own = contenders[CANDIDATE]
    others = {name: judged for name, judged in contenders.items() if name != CANDIDATE}
    kept = slice_masks(frame.slices)
    sliced = {
        (where, name): metrics.relevance_metric(spec.gate.metric, judged.hit, frame.truth, keep)
        for where, keep in kept.items()
        for name, judged in contenders.items()
    }
    differences = {
        f"{name}|{metric}": own.values[metric] - judged.values[metric]
        for name, judged in others.items()
        for metric in metrics.METRICS
    }
    for (where, name), values in sliced.items():
        if name != CANDIDATE:
            differences[f"{name}|{'='.join(where)}"] = sliced[where, CANDIDATE] - values
    gains = _gains(spec, frame, differences)
    return PartResult(
        decisions=tuple(day.as_py().date() for day in frame.decisions),
        customers=len(frame.customers),
        groups=frame.truth.groups,
        relevant=len(frame.truth.item),
        ceiling=_ceiling(frame),
        values={name: _values(judged, frame) for name, judged in contenders.items()},
        gains={name: {m: gains[f"{name}|{m}"] for m in metrics.METRICS} for name in others},
        by_decision={n: _by_decision(j.values[spec.gate.metric], frame) for n, j in contenders.items()},
        slices=tuple(
            SliceResult(
                column=where[0],
                value=where[1],
                customers=len(np.unique(frame.customer[frame.truth.group[keep]])),
                groups=len(np.unique(frame.truth.group[keep])),
                values={name: _mean(sliced[where, name]) for name in contenders},
                gains={name: gains[f"{name}|{'='.join(where)}"] for name in others},
            )
            for where, keep in kept.items()
        ),
    )


def _gains(spec: ModelSpec, frame: Frame, differences: dict[str, FloatArray]) -> dict[str, Gain]:
    gate = spec.gate
    found = paired_intervals(frame.customer, differences, gate.draws, gate.confidence, spec.training.seed)
    return {name: Gain(**vars(interval)) for name, interval in found.items()}


def _values(judged: Judged, frame: Frame) -> dict[str, float | None]:
    means = {name: _mean(values) for name, values in judged.values.items()}
    return {**means, "coverage_10": metrics.coverage(judged.lists, frame.catalogue)}


def _mean(values: FloatArray) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def _by_decision(values: FloatArray, frame: Frame) -> tuple[float, ...]:
    return tuple(_mean(values[frame.decision == at]) for at in range(len(frame.decisions)))


def _ceiling(frame: Frame) -> float:
    """Share of the relevant items that are among the candidates: no ranker can find more."""
    span = len(frame.items)
    there = frame.row_group * span + frame.row_item
    return float(np.isin(frame.truth.group * span + frame.truth.item, there).mean())
