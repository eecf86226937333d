"""Days of predicted events with known labels, as daily tables, and a warehouse that says how far labels have come."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.prediction_log import day_folder
from ml_assets.prediction_log.kinds import EVENTS
from ml_assets.prediction_log.partitions import Kind

FIRST = date(2026, 3, 2)


def event_spec(task: str = "binary", **monitoring: Any) -> ModelSpec:
    return ModelSpec.model_validate(
        {
            "name": "tips", "description": "Predicts in tests.", "task": task, "spine": "mart_events",
            "feature_service": "features", "entity": "event_id", "time": "happened_at", "label": "label",
            "request_features": ["size"], "horizon_days": 1, "monitoring": monitoring,
        }
    )  # fmt: skip


def nth(number: int) -> date:
    return FIRST + timedelta(days=number)


def labels_until(settings: Settings, number: int) -> None:
    """The spine's newest row is of this day."""
    settings.warehouse.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(settings.warehouse)) as made:
        made.execute("create or replace table mart_events (event_id varchar, happened_at timestamp, label double)")
        made.execute("insert into mart_events values ('newest', $1, 1)", [datetime(*nth(number).timetuple()[:3], 9)])


def write_events(
    settings: Settings,
    number: int,
    label: np.ndarray,
    value: np.ndarray,
    *,
    version: str = "v1",
    named: float = 1.0,
    **columns: Any,
) -> None:
    """Publish a day; NaN labels are not known, those of events that nobody named (a share of them) neither."""
    day, rows = nth(number), len(value)
    noon = datetime(*day.timetuple()[:3], 12)
    ids = [f"{day}-{at}" for at in range(rows)]
    events = [f"e-{name}" if at < named * rows else None for at, name in enumerate(ids)]
    known = np.where(np.arange(rows) < named * rows, label, np.nan)
    said = {
        "prediction_id": ids, "time": [noon] * rows, "logged_at": [noon] * rows, "as_of": [noon] * rows,
        "model_version": [version] * rows, "arm": ["champion"] * rows, "event": events, "known": [True] * rows,
        "keys": ["{}"] * rows, "request": ["{}"] * rows, "value": value, "score": value, "degraded": [[]] * rows,
        "served_by": ["bento:1/7"] * rows, "latency_ms": [5.0] * rows, "label": pa.array(known, from_pandas=True),
        **columns,
    }  # fmt: skip
    folder = day_folder(settings, "tips", day)
    folder.mkdir(parents=True, exist_ok=True)
    for kind, schema in EVENTS.tables.items():
        there = kind is not Kind.REFUSALS
        features = [name for name in columns if "__" in name and kind is Kind.SHOWN]
        whole = pa.schema([*schema, *((name, pa.float32()) for name in features)])
        arrays = [_array(said.get(each.name), each.type, rows) if there else pa.nulls(0, each.type) for each in whole]
        pq.write_table(pa.table(arrays, schema=whole), folder / f"{kind}.parquet")


def _array(found: Any, kind: pa.DataType, rows: int) -> pa.Array:
    if found is None:
        return pa.nulls(rows, kind)
    return found.cast(kind) if isinstance(found, pa.Array) else pa.array(found, kind, from_pandas=True)


def binary_day(rng: np.random.Generator, rows: int, *, rate: float = 0.3, strength: float = 1.5) -> Any:
    """Labels and the probabilities of a model that knows them, as far as they can be known."""
    logit = np.log(rate / (1 - rate)) + strength * rng.normal(size=rows)
    value = 1 / (1 + np.exp(-logit))
    return (rng.random(rows) < value).astype(float), value


def number_day(rng: np.random.Generator, rows: int, *, scale: float = 10.0) -> Any:
    """Numbers with heavy tails and a model that explains about half of their spread."""
    value = scale * rng.normal(size=rows)
    return value + scale * rng.standard_t(5, size=rows) * 0.8, value
