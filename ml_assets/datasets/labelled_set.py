"""What a binary or regression model learns from: labelled events, with what was known when they happened."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml_assets.config.keys import TEXT, canonical_sql
from ml_assets.config.model_spec import ModelSpec, Task
from ml_assets.config.numbers import MOST, Bounds
from ml_assets.config.settings import Settings
from ml_assets.datasets.cutoffs import EVENT_TIMESTAMP, NOW
from ml_assets.datasets.labelled import REQUEST
from ml_assets.datasets.labelled_columns import spine_columns
from ml_assets.datasets.provenance import key_forms_of
from ml_assets.datasets.spine_checks import check_labels, label_number
from ml_assets.datasets.split import Part, Split
from ml_assets.datasets.tabular_baselines import write_baselines
from ml_assets.datasets.training_set import ROWS, PartCounts
from ml_assets.storage.warehouse import connect

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
        ValueError: when the spine lacks a column, names an event twice, a label is not what the task needs, or a number
            is more than models read.
    """
    from feature_repo.historical import training_frame
    from feature_repo.store import feature_names, join_keys

    events = _events(spec, warehouse, split, keys_of(spec, join_keys(store, spec.feature_service)))
    entities = folder / "entities.parquet"
    pq.write_table(events, entities)
    training_frame(store, spec.feature_service, entities, folder / ROWS)
    entities.unlink()
    names = feature_names(store, spec.feature_service)
    features = (*(REQUEST + name for name in spec.request_features), *names)
    write_baselines(spec, folder, features)
    return _counts(spec, events, split), features


def keys_of(spec: ModelSpec, keys: tuple[str, ...]) -> dict[str, str]:
    """SQL of each join key over `spine`, in the form that every other reader of keys has it in."""
    forms = key_forms_of(spec)
    return {key: canonical_sql(f"spine.{key}::varchar", forms.get(key, TEXT)) for key in keys}


def newest_events(
    spec: ModelSpec, settings: Settings, keys: tuple[str, ...], count: int, bounds: Mapping[str, Bounds] | None = None
) -> list[dict[str, Any]]:
    """The newest events of the spine as a caller would ask about them: keys as texts, numbers, null where missing.

    A column that the spine has no more is null: the version that serves may have been trained on it. Events with a
    number out of the `bounds` that a version was trained within are left out: it refuses them.
    """
    asked = keys_of(spec, keys) | {name: f"{name}::double" for name in spec.request_features}
    order = f"order by {spec.time} desc, {spec.entity} limit {count}"
    with connect(settings) as warehouse:
        there = {name for name, *_ in warehouse.execute(f"describe {spec.spine}").fetchall()}
        columns = [f"{sql if name in there else 'null'} as {name}" for name, sql in asked.items()]
        within = [
            f"coalesce(not ({limits.broken_sql(f'{name}::double')}), true)"
            for name, limits in (bounds or {}).items()
            if name in there
        ]
        found: pa.Table = warehouse.sql(
            f"select {', '.join(columns)} from {spec.spine} as spine where {' and '.join(['true', *within])} {order}"
        ).to_arrow_table()
    rows: list[dict[str, Any]] = found.to_pylist()
    return rows


def _events(spec: ModelSpec, warehouse: duckdb.DuckDBPyConnection, split: Split, keys: dict[str, str]) -> pa.Table:
    """The events of all parts, oldest part first; `keys` has the SQL of each join key."""
    named = [name for names in spine_columns(spec).values() for name in names]
    wanted = tuple(dict.fromkeys([*named, *keys]))
    there = [name for name, *_ in warehouse.execute(f"describe {spec.spine}").fetchall()]
    missing = [name for name in wanted if name not in there]
    if missing:
        raise ValueError(f"{spec.spine} has no column {', '.join(missing)}; it has {', '.join(there)}")
    check_labels(spec, warehouse)
    check_numbers(spec, warehouse)
    places = {part: place for place, part in enumerate(Part)}
    days = [(day, part.value, places[part]) for part, day in split.items()]
    cut = pa.table(
        {
            "day": pa.array([day for day, *_ in days], pa.date32()),
            "split": pa.array([part for _, part, _ in days], pa.string()),
            "place": pa.array([place for *_, place in days], pa.int32()),
        }
    )
    own = [
        name
        for name in wanted
        if name not in spec.request_features or name in {spec.bootstrap_unit, *spec.slices, *keys}
    ]
    made = {spec.label: label_number(spec), **keys}
    columns = [f"{made[name]} as {name}" if name in made else f"spine.{name}" for name in own]
    columns += [f"spine.{name}::float as {REQUEST}{name}" for name in spec.request_features]
    warehouse.register("cut", cut)
    sql = _EVENTS.format(
        columns=", ".join(columns), time=spec.time, event_timestamp=EVENT_TIMESTAMP, now=NOW, spine=spec.spine,
        label=spec.label, entity=spec.entity,
    )  # fmt: skip
    found: pa.Table = warehouse.sql(sql).to_arrow_table()
    return _numbered(spec, found)


def check_numbers(spec: ModelSpec, warehouse: duckdb.DuckDBPyConnection) -> None:
    """Refuse a spine with a number that no caller can send along.

    Raises:
        ValueError: naming the column, the value and the event.
    """
    far = {name: f"not isnan({name}::double) and abs({name}::double) > {MOST!r}" for name in spec.request_features}
    if not far:
        return
    counts = ", ".join(f"count_if({condition})" for condition in far.values())
    [found] = warehouse.execute(f"select {counts} from {spec.spine}").fetchall()
    for (name, condition), count in zip(far.items(), found, strict=True):
        if count:
            first = f"select {name}, {spec.entity} from {spec.spine} where {condition} order by {spec.time} limit 1"
            [(value, event)] = warehouse.execute(first).fetchall()
            raise ValueError(
                f"{spec.spine}: {name} is {value} at {spec.entity} {event}, one of {count:,} such rows: models read "
                f"finite numbers of up to {MOST:.3g}; correct the SQL that makes it"
            )


def _numbered(spec: ModelSpec, events: pa.Table) -> pa.Table:
    """With the label in its type and the number of each row; refuses an event that is there twice."""
    ids = events[spec.entity]
    if len(pc.unique(ids)) != len(ids):
        twice = next(each["values"] for each in pc.value_counts(ids).to_pylist() if each["counts"] > 1)
        raise ValueError(f"{spec.spine}: {spec.entity} {twice} is there more than once; one row per event")
    if spec.task is Task.BINARY:
        at = events.schema.get_field_index(spec.label)
        events = events.set_column(at, spec.label, pc.cast(events[spec.label], pa.int32()))
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
