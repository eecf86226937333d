"""Features that give the label away: alone they predict it, or they are first known when the event happens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml_assets.learning.decisions import EVENT_TIMESTAMP, NOW
from ml_assets.learning.metrics import FloatArray
from ml_assets.learning.row_metrics import auc, once
from ml_assets.learning.spec import ModelSpec, Task
from ml_assets.learning.split import Part
from ml_assets.learning.training_set import ROWS, DatasetRef, load_rows

if TYPE_CHECKING:
    from feast import FeatureStore

LEARNED = (Part.TRAIN, Part.VALIDATION)
SAMPLE = 2000
"""Events of which the features are looked up once more, just before."""
AT_THE_EVENT = 0.2
"""Share of the events at whose very moment a feature may change."""


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


def find_leaks(spec: ModelSpec, dataset: DatasetRef, store: FeatureStore) -> list[Leak]:
    """Every feature that leaks, judged on train and validation.

    A feature alone predicts the label when its AUC (binary), or the absolute rank correlation with it (regression),
    reaches `gate.leak`. It is known too late when for more than `AT_THE_EVENT` of the events it is another one a
    microsecond earlier: then its row carries the time of the event itself, and may well hold it. Events at midnight say
    nothing about that: what is known of the day before changes then.
    """
    return [*_alone(spec, dataset), *_at_the_event(spec, dataset, store)]


def _alone(spec: ModelSpec, dataset: DatasetRef) -> list[Leak]:
    features = dataset.manifest.features
    parts = [load_rows(dataset, part, features, spec) for part in LEARNED]
    label = np.concatenate([rows.label for rows in parts]).astype(np.float64)
    found = []
    for at, feature in enumerate(features):
        column = np.concatenate([rows.x[:, at] for rows in parts]).astype(np.float64)
        strength = max(_strength(one, label, spec.task) for one in (column, np.isfinite(column).astype(np.float64)))
        if strength >= spec.gate.leak:
            measure = "AUC" if spec.task is Task.BINARY else "rank correlation"
            text = f"{feature} alone predicts {spec.label} ({measure} {strength:.3f}): is it known before the event?"
            found.append(Leak(feature, text))
    return found


def _strength(column: FloatArray, label: FloatArray, task: Task) -> float:
    """How well a column orders the label, 0.5 or 0 when not at all; where it is missing it says nothing."""
    known = np.isfinite(column)
    column, label = column[known], label[known]
    if len(np.unique(column)) < 2 or len(np.unique(label)) < 2 or known.sum() < known.size / 10:
        return 0.0
    if task is Task.BINARY:
        area = float(auc(label, column, once(len(label)))[0])
        return max(area, 1 - area)
    return abs(float(np.corrcoef(_ranks(column), _ranks(label))[0, 1]))


def _ranks(values: FloatArray) -> FloatArray:
    """Mean rank of each value; equal values share one."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[inverse], dtype=np.float64)


def _at_the_event(spec: ModelSpec, dataset: DatasetRef, store: FeatureStore) -> list[Leak]:
    from feature_repo.historical import training_frame
    from feature_repo.store import feature_names, join_keys

    keys, names = join_keys(store, spec.feature_service), feature_names(store, spec.feature_service)
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
