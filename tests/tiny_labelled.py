"""A small training set of labelled events in the published shape, with a signal a booster finds and a line does not."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ml_assets.config.model_spec import GateSpec, ModelSpec, SplitSpec, Task, TrainingSpec, TuningSpec
from ml_assets.datasets.code import data_code, version_of
from ml_assets.datasets.fingerprint import described
from ml_assets.datasets.tabular_baselines import write_baselines
from ml_assets.datasets.training_set import DatasetRef
from ml_assets.storage.files import sha256_file

FEATURES = ("request__size", "request__hour", "place__trips_28d", "place__noise")
PARTS = {"train": 30, "validation": 6, "test": 10, "holdout": 4}
FIRST = datetime(2016, 3, 1)
A_DAY = 40


def labelled_spec(task: Task) -> ModelSpec:
    """A model of this training set that trains in a moment."""
    return ModelSpec(
        name="tips",
        description="Predicts from labelled events.",
        task=task,
        spine="mart_events",
        feature_service="product_recommender",
        entity="event_id",
        time="happened_at",
        label="label",
        request_features=("size", "hour"),
        bootstrap_unit="day",
        horizon_days=1,
        slices=("kind",),
        split=SplitSpec(train=30, validation=6, test=10, holdout=4, warmup_days=0),
        tuning=TuningSpec(trials=3, rounds=20),
        training=TrainingSpec(rounds=80, early_stopping=15, params={"min_data_in_leaf": 5}),
        gate=GateSpec(draws=200, slice_min_customers=3, slice_tolerance=0.2).model_copy(
            update={"metric": "average_precision" if task is Task.BINARY else "rmse"}
        ),
    )


def write_labelled_set(folder: Path, spec: ModelSpec, seed: int = 5) -> DatasetRef:
    """Events whose label depends on two features together (an exclusive or): neither alone, nor a line, says much."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    n = sum(PARTS.values()) * A_DAY
    x = rng.normal(size=(n, len(FEATURES))).astype(np.float32)
    signal = np.sign(x[:, 0]) * np.sign(x[:, 2]) * 1.5 + 0.4 * x[:, 1]
    if spec.task is Task.BINARY:
        label = pa.array((rng.random(n) < 1 / (1 + np.exp(1.5 - 1.5 * signal))).astype(np.int32))
    else:
        label = pa.array(10 + signal + rng.normal(size=n) * 0.5)
    x[rng.random(n) < 0.05, 2] = np.nan
    day = np.repeat(np.arange(sum(PARTS.values())), A_DAY)
    parts = np.repeat(list(PARTS), [count * A_DAY for count in PARTS.values()])
    times = [FIRST + timedelta(days=int(at), seconds=60 * number) for number, at in enumerate(day % 1000)]
    rows = pa.table(
        {
            "event_id": [f"e{at}" for at in range(n)],
            "happened_at": pa.array(
                [min(t, FIRST + timedelta(days=int(d), hours=23)) for t, d in zip(times, day, strict=True)]
            ),
            "label": label,
            "kind": np.where(x[:, 1] > 0, "late", "early"),
            "day": [str(at) for at in day],
            "split": parts,
            "group": pa.array(np.arange(n, dtype=np.int32)),
            **{name: pa.array(x[:, at]) for at, name in enumerate(FEATURES)},
        }
    )
    pq.write_table(rows, folder / "rows.parquet")
    write_baselines(spec, folder, FEATURES)
    (folder / "manifest.json").write_text(json.dumps(_manifest(folder, spec)))
    return DatasetRef(folder)


def _manifest(folder: Path, spec: ModelSpec) -> dict:
    starts = np.cumsum([0, *PARTS.values()])
    split = {
        part: [(FIRST + timedelta(days=int(starts[at] + number))).date().isoformat() for number in range(count)]
        for at, (part, count) in enumerate(PARTS.items())
    }
    counts = {
        part: {"decisions": count, "groups": count * A_DAY, "rows": count * A_DAY, "relevant": 1, "ceiling": 1.0}
        for part, count in PARTS.items()
    }
    return {
        "fingerprint": folder.name,
        "model": spec.name,
        "features": list(FEATURES),
        "split": split,
        "counts": counts,
        "data": {"mart_events": "d1"},
        "code": version_of(data_code(spec)),
        "spec": described(spec),
        "sources": data_code(spec),
        "files": {file.name: sha256_file(file) for file in sorted(folder.iterdir())},
    }
