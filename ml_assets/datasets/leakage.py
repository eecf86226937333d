"""Features that give the label away: alone they predict it, or they are first known when the event happens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ml_assets.config.model_spec import ModelSpec, Task
from ml_assets.config.settings import Settings
from ml_assets.datasets.cutoffs import EVENT_TIMESTAMP, NOW
from ml_assets.datasets.sampling import sample_groups
from ml_assets.datasets.split import LEARNED, Part
from ml_assets.datasets.training_set import ROWS, DatasetRef, load_rows
from ml_assets.metrics.ranking import FloatArray, IntArray
from ml_assets.metrics.tabular import auc, once

SAMPLE = 2000
"""Events of which the features are looked up once more, just before."""
LISTS = 200
"""Lists of each part that a ranking's features are judged on."""
AT_THE_EVENT = 0.2
"""Share of the events at whose very moment a feature may change."""

MEASURES = {Task.BINARY: "AUC", Task.REGRESSION: "rank correlation", Task.RANKING: "AUC within a list"}


@dataclass(frozen=True)
class Leak:
    """A feature that must not be one, and why."""

    feature: str
    text: str


def label_problems(spec: ModelSpec, dataset: DatasetRef) -> list[str]:
    """What keeps the parts from being learned from and judged; nothing when they are fine."""
    problems = []
    for part, count in dataset.manifest.counts.items():
        if count.decisions:
            column = pq.read_table(dataset.path / ROWS, columns=[spec.label], filters=[("split", "=", part.value)])
            labels = pc.unique(column[spec.label]).to_pylist()
            if len(labels) < 2:
                problems.append(f"{part.value}: {count.rows} events, all with the label {labels}")
    return problems


def find_leaks(spec: ModelSpec, dataset: DatasetRef, settings: Settings) -> list[Leak]:
    """Every feature that leaks, judged on train and validation.

    A feature alone predicts the label when its AUC (binary), the absolute rank correlation with it (regression), or its
    mean AUC within the lists (ranking, relevant or not) reaches `gate.leak`. It is known too late when for more than
    `AT_THE_EVENT` of the events it is another one a microsecond earlier: then its row carries the time of the event
    itself, and may well hold it. Events at midnight say nothing about that, hence a ranking's decisions do not: what is
    known of the day before changes then.

    Args:
        spec: the model.
        dataset: its training set.
        settings: the deployment, whose feature store is asked again.
    """
    return [*leaking_alone(spec, dataset), *([] if spec.ranks else _at_the_event(spec, dataset, settings))]


def leaking_alone(spec: ModelSpec, dataset: DatasetRef) -> list[Leak]:
    """The features of which one alone, or only where it is missing, orders the labels."""
    features = dataset.manifest.features
    x, label, group = _learned(spec, dataset)
    found = []
    for at, feature in enumerate(features):
        strength = strength_alone(x[:, at].astype(np.float64), label, spec.task, group)
        if strength >= spec.gate.leak:
            said = f"{feature} alone predicts {spec.label} ({MEASURES[spec.task]} {strength:.3f})"
            found.append(Leak(feature, f"{said}: is it known before {'the decision' if spec.ranks else 'the event'}?"))
    return found


def _learned(spec: ModelSpec, dataset: DatasetRef) -> tuple[NDArray[np.float32], FloatArray, IntArray]:
    """Features [n, F], label [n] and list [n] of the rows learned from; of a ranking a sample of its lists.

    A ranking's label is whether the row is relevant.
    """
    parts = [load_rows(dataset, part, dataset.manifest.features, spec) for part in LEARNED]
    if spec.ranks:
        parts = [rows.take(sample_groups(rows.sizes, LISTS, spec.training.seed)) for rows in parts]
    label = np.concatenate([rows.label for rows in parts]).astype(np.float64)
    sizes = np.concatenate([rows.sizes for rows in parts])
    group: IntArray = np.repeat(np.arange(len(sizes)), sizes)
    relevant = (label >= spec.relevance_threshold).astype(np.float64)
    return np.concatenate([rows.x for rows in parts]), relevant if spec.ranks else label, group


def strength_alone(column: FloatArray, label: FloatArray, task: Task, group: IntArray | None = None) -> float:
    """How well a column [n], or only where it is missing, orders the label [n]: AUC or absolute rank correlation.

    `group` [n] is the list of a row of a ranking; other tasks have none.
    """
    lists = np.arange(len(label)) if group is None else group
    ways = (column, np.isfinite(column).astype(np.float64))
    return max(_strength(one, label, lists, task) for one in ways)


def _strength(column: FloatArray, label: FloatArray, group: IntArray, task: Task) -> float:
    """How well a column orders the label, 0.5 or 0 when not at all; where it is missing it says nothing."""
    known = np.isfinite(column)
    column, label = column[known], label[known]
    if len(np.unique(column)) < 2 or len(np.unique(label)) < 2 or known.sum() < known.size / 10:
        return 0.0
    if task is Task.REGRESSION:
        return abs(float(np.corrcoef(_ranks(column), _ranks(label))[0, 1]))
    area = (
        float(auc(label, column, once(len(label)))[0]) if task is Task.BINARY else _within(column, label, group[known])
    )
    return max(area, 1 - area)


def _within(column: FloatArray, relevant: FloatArray, group: IntArray) -> float:
    """Mean over the lists of the share of pairs (relevant, not) that the column has in order, ties being half."""
    code = np.unique(column, return_inverse=True)[1]
    size = np.bincount(group)
    apart = _ranks(group * (code.max() + 1) + code)  # list by list: ranks within each, behind all lists before it
    rank = apart - (np.cumsum(size) - size)[group]
    hits, sums = np.bincount(group, relevant), np.bincount(group, rank * relevant)
    pairs = hits * (size - hits)
    both = pairs > 0
    return float(np.mean((sums - hits * (hits + 1) / 2)[both] / pairs[both])) if both.any() else 0.5


def _ranks(values: FloatArray | IntArray) -> FloatArray:
    """Mean rank of each value; equal values share one."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[inverse], dtype=np.float64)


def _at_the_event(spec: ModelSpec, dataset: DatasetRef, settings: Settings) -> list[Leak]:
    from feature_repo.historical import training_frame
    from feature_repo.store import feature_names, join_keys, open_store

    store = open_store(settings)
    there = set(pq.read_schema(dataset.path / ROWS).names)  # not what views have got since
    keys = join_keys(store, spec.feature_service)
    names = [name for name in feature_names(store, spec.feature_service) if name in there]
    columns = list(dict.fromkeys([*keys, EVENT_TIMESTAMP, NOW, *names]))
    table = pq.read_table(dataset.path / ROWS, columns=columns, filters=[("split", "=", Part.TRAIN.value)])
    table = table.filter(pc.not_equal(pc.floor_temporal(table[EVENT_TIMESTAMP], unit="day"), table[EVENT_TIMESTAMP]))
    table = table.take(np.unique(np.linspace(0, max(len(table) - 1, 0), min(len(table), SAMPLE)).astype(np.int64)))
    earlier = pc.subtract(table[EVENT_TIMESTAMP].cast(pa.timestamp("us")), pa.scalar(1, pa.duration("us")))
    asked = table.select([*dict.fromkeys([*keys, EVENT_TIMESTAMP, NOW])])
    asked = asked.set_column(asked.schema.get_field_index(EVENT_TIMESTAMP), EVENT_TIMESTAMP, earlier)
    with TemporaryDirectory() as folder:
        entities, before = Path(folder) / "entities.parquet", Path(folder) / "before.parquet"
        pq.write_table(asked, entities)
        training_frame(store, spec.feature_service, entities, before)
        just_before = pq.read_table(before, columns=names)
    found = []
    for name in names:
        now, then = (_floats(one[name]) for one in (table, just_before))
        share = float(np.mean(~((now == then) | (np.isnan(now) & np.isnan(then))))) if len(now) else 0.0
        if share > AT_THE_EVENT:
            text = (
                f"{name} changes at the very moment of {share:.0%} of the events: it is known only with or after them"
            )
            found.append(Leak(name, text))
    return found


def _floats(column: pa.ChunkedArray) -> FloatArray:
    return np.asarray(column.to_numpy(), dtype=np.float64)
