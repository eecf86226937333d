"""What a binary or regression model learns from: labelled events, with what was known when they happened."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml_assets.learning.decisions import EVENT_TIMESTAMP, NOW
from ml_assets.learning.labelled import REQUEST
from ml_assets.learning.labelled_columns import spine_columns
from ml_assets.learning.simple_baselines import write_baselines
from ml_assets.learning.spec import ModelSpec, Task
from ml_assets.learning.split import Part, Split
from ml_assets.learning.training_set import ROWS, PartCounts
from ml_assets.settings import Settings
from ml_assets.warehouse import connect

if TYPE_CHECKING:
    from feast import FeatureStore

_EVENTS = """
select {columns}, {time}::timestamp as {event_timestamp}, epoch({time}::timestamp) as {now}, cut.split
from {spine} as spine
join cut on cut.day = cast(spine.{time} as date)
where spine.{label} is not null
order by cut.place, spine.{time}, spine.{entity}
"""


def write_labelled(
    spec: ModelSpec, warehouse: duckdb.DuckDBPyConnection, store: FeatureStore, split: Split, folder: Path
) -> tuple[dict[Part, PartCounts], tuple[str, ...]]:
    """Write `rows.parquet` (keys, label, request and features as of the event) and `baselines.parquet`.

    Returns:
        What each part holds, and the names of the features.

    Raises:
        ValueError: when the spine lacks a column, names an event twice, or a label is not what the task needs.
    """
    from feature_repo.historical import training_frame
    from feature_repo.store import feature_names, join_keys

    events = _events(spec, warehouse, split, join_keys(store, spec.feature_service))
    entities = folder / "entities.parquet"
    pq.write_table(events, entities)
    training_frame(store, spec.feature_service, entities, folder / ROWS)
    entities.unlink()
    names = feature_names(store, spec.feature_service)
    features = (*(REQUEST + name for name in spec.request), *names)
    write_baselines(spec, folder, features)
    return _counts(spec, events, split), features


def newest_events(spec: ModelSpec, settings: Settings, keys: tuple[str, ...], count: int) -> list[dict[str, Any]]:
    """The newest events of the spine as a caller would ask about them: keys as texts, numbers, null where missing."""
    columns = [*(f"{key}::varchar as {key}" for key in keys), *(f"{name}::double as {name}" for name in spec.request)]
    order = f"order by {spec.time} desc, {spec.entity} limit {count}"
    with connect(settings) as warehouse:
        found: pa.Table = warehouse.sql(f"select {', '.join(columns)} from {spec.spine} {order}").to_arrow_table()
    rows: list[dict[str, Any]] = found.to_pylist()
    return rows


def _events(spec: ModelSpec, warehouse: duckdb.DuckDBPyConnection, split: Split, keys: tuple[str, ...]) -> pa.Table:
    """The events of all parts, oldest part first."""
    named = [name for names in spine_columns(spec).values() for name in names]
    wanted = tuple(dict.fromkeys([*named, *keys]))
    there = [name for name, *_ in warehouse.execute(f"describe {spec.spine}").fetchall()]
    missing = [name for name in wanted if name not in there]
    if missing:
        raise ValueError(f"{spec.spine} has no column {', '.join(missing)}; it has {', '.join(there)}")
    places = {part: place for place, part in enumerate(Part)}
    days = [(day, part.value, places[part]) for part, day in split.items()]
    cut = pa.table(
        {
            "day": pa.array([day for day, *_ in days], pa.date32()),
            "split": pa.array([part for _, part, _ in days], pa.string()),
            "place": pa.array([place for *_, place in days], pa.int32()),
        }
    )
    own = [name for name in wanted if name not in spec.request or name in {spec.cluster, *spec.slices, *keys}]
    columns = [f"spine.{name}::varchar as {name}" if name in keys else f"spine.{name}" for name in own]
    columns += [f"spine.{name}::float as {REQUEST}{name}" for name in spec.request]
    warehouse.register("cut", cut)
    sql = _EVENTS.format(
        columns=", ".join(columns), time=spec.time, event_timestamp=EVENT_TIMESTAMP, now=NOW, spine=spec.spine,
        label=spec.label, entity=spec.entity,
    )  # fmt: skip
    found: pa.Table = warehouse.sql(sql).to_arrow_table()
    return _numbered(spec, found)


def _numbered(spec: ModelSpec, events: pa.Table) -> pa.Table:
    """With the label in its type and the number of each row; refuses what the task cannot learn from."""
    ids = events[spec.entity]
    if len(pc.unique(ids)) != len(ids):
        twice = next(each["values"] for each in pc.value_counts(ids).to_pylist() if each["counts"] > 1)
        raise ValueError(f"{spec.spine}: {spec.entity} {twice} is there more than once; one row per event")
    label = pc.cast(events[spec.label], pa.float64())
    if spec.task is Task.BINARY:
        wrong = [value for value in pc.unique(label).to_pylist() if value not in {0.0, 1.0}]
        if wrong:
            raise ValueError(f"{spec.spine}: {spec.label} is {wrong[0]} somewhere; a binary label is 0 or 1")
        label = pc.cast(label, pa.int32())
    events = events.set_column(events.schema.get_field_index(spec.label), spec.label, label)
    return events.append_column("group", pa.array(np.arange(len(events), dtype=np.int32)))


def _counts(spec: ModelSpec, events: pa.Table, split: Split) -> dict[Part, PartCounts]:
    found = {}
    for part in Part:
        days: tuple[date, ...] = getattr(split, part.value)
        label = events.filter(pc.equal(events["split"], part.value))[spec.label]
        relevant = int(pc.sum(label).as_py() or 0) if spec.task is Task.BINARY else len(label)
        found[part] = PartCounts(
            decisions=len(days), groups=len(label), rows=len(label), relevant=relevant, ceiling=float(bool(days))
        )
    return found
