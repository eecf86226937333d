"""AsofOfflineStore against the definition: every form of entity rows, every kind of time, renamed columns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from asof_oracle import Row, View, answers, entity_rows, views
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Int64, String
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.stores.asof import AsofOfflineStore

START = datetime(2024, 3, 30)
STEP = timedelta(hours=12)
TIMES = {
    "naive": pa.timestamp("us"),
    "seconds": pa.timestamp("s"),
    "nanoseconds": pa.timestamp("ns"),
    "zoned": pa.timestamp("us", "Asia/Tokyo"),
    "pandas": pa.timestamp("ns", "Europe/London"),  # whose clocks change within the range
    "date": pa.date32(),
}
FORMS = ["frame", "arrow", "sql", "text", "path", "pattern", "folder"]


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> FeatureStore:
    folder = tmp_path_factory.mktemp("property")
    return FeatureStore(
        config=RepoConfig(
            project="property",
            provider="local",
            registry=str(folder / "registry.db"),
            offline_store={"type": "feature_repo.stores.asof.AsofOfflineStore", "memory": "200MB", "batch_rows": 2048},
            online_store={"type": "sqlite", "path": str(folder / "online.db")},
            entity_key_serialization_version=3,
            repo_path=folder,
        )
    )


def times(steps: list[int | None], kind: str) -> pa.Array:
    if kind == "date":
        return pa.array([None if each is None else (START + each * STEP).date() for each in steps], TIMES[kind])
    zone = UTC if TIMES[kind].tz else None
    return pa.array(
        [None if each is None else (START + each * STEP).replace(tzinfo=zone) for each in steps], TIMES[kind]
    )


def rounded(step: int | None, kind: str) -> int | None:
    """What a column of that kind keeps of a moment: a date means its midnight."""
    return step - step % 2 if kind == "date" and step is not None else step


def as_kept(view: View, kind: str) -> View:
    rows = [Row(row.keys, rounded(row.valid, kind), rounded(row.created, kind), row.values) for row in view.rows]
    return replace(view, rows=tuple(rows))


def feature_view(name: str, view: View, kind: str, folder: Path) -> FeatureView:
    """The view on a file whose columns have other names, joined on entity columns of yet other names."""
    table = {f"raw_{key}": pa.array([row.keys[at] for row in view.rows], pa.string()) for at, key in enumerate(view.on)}
    table["at"] = times([row.valid for row in view.rows], kind)
    table["made"] = times([row.created for row in view.rows], kind)
    table |= {f"raw_{at}": pa.array([row.values[at] for row in view.rows], pa.int64()) for at in range(view.width)}
    pq.write_table(pa.table(table), folder / f"{name}.parquet")
    source = FileSource(
        name=name,
        path=str(folder / f"{name}.parquet"),
        timestamp_field="at",
        created_timestamp_column="made" if view.created else "",
        field_mapping={f"raw_{key}": f"key_{key}" for key in view.on} | {f"raw_{at}": f"v{at}" for at in range(2)},
    )
    keys = [Field(name=f"key_{key}", dtype=String) for key in view.on]
    made = FeatureView(
        name=name,
        entities=[Entity(name=key, join_keys=[f"key_{key}"], value_type=ValueType.STRING) for key in view.on],
        ttl=STEP * (view.ttl or 0),
        schema=[*keys, Field(name="v0", dtype=Int64), Field(name="v1", dtype=Int64)],
        source=source,
    )
    return made.with_join_key_map({f"key_{key}": key for key in view.on})


def entity_frame(table: pa.Table, form: str, folder: Path):
    if form == "frame":
        return table.to_pandas()
    if form == "arrow":
        return table
    parts = folder / "rows"
    parts.mkdir()
    half = len(table) // 2
    pq.write_table(table, folder / "rows.parquet")
    pq.write_table(table.slice(0, half), parts / "1.parquet")
    pq.write_table(table.slice(half), parts / "2.parquet")
    return {
        "sql": f"select * from read_parquet('{folder}/rows.parquet'); ",
        "text": f"{folder}/rows.parquet",
        "path": folder / "rows.parquet",
        "pattern": f"{parts}/*.parquet",
        "folder": parts,
    }[form]


@dataclass(frozen=True)
class Case:
    """Entity rows in some form, and views; `kinds` are those of each view's times and of the entity rows'."""

    asked: list[tuple[dict[str, str | None], int | None]]
    views: list[View]
    form: str
    kinds: tuple[str, ...]
    corrections: bool


CASES = st.builds(
    Case,
    asked=entity_rows(),
    views=st.lists(views(), min_size=1, max_size=3),
    form=st.sampled_from(FORMS),
    kinds=st.tuples(*[st.sampled_from(list(TIMES))] * 4),
    corrections=st.booleans(),
)


@settings(max_examples=50, deadline=None)
@given(case=CASES)
def test_equals_the_definition(store, case):
    given_views = [replace(view, corrections=case.corrections) for view in case.views]
    names, asked, kinds = [f"view{number}" for number in range(len(case.views))], case.asked, case.kinds
    config = store.config.model_copy(deep=True)
    config.offline_store.corrections = case.corrections
    columns = {name: pa.array([keys[name] for keys, _ in asked], pa.string()) for name in "yx"}
    rows = pa.table(
        {**columns, "event_timestamp": times([at for _, at in asked], kinds[3]), "place": range(len(asked))}
    )
    with TemporaryDirectory() as name:
        folder = Path(name)
        made = [feature_view(*each, folder) for each in zip(names, given_views, kinds, strict=False)]
        references = [f"{each}:{value}" for each in names for value in ("v1", "v0")]
        frame = entity_frame(rows, case.form, folder)
        job = AsofOfflineStore.get_historical_features(
            config, made, references, frame, store.registry, "property", True
        )
        found = job.to_arrow()
        assert job.to_parquet(folder / "found" / "rows.parquet") == len(asked)
        assert pq.read_table(folder / "found" / "rows.parquet").to_pylist() == found.to_pylist()
    assert found.column_names == [*rows.column_names, *(each.replace(":", "__") for each in references)]
    assert found["place"].to_pylist() == list(range(len(asked)))
    asked = [(keys, rounded(at, kinds[3])) for keys, at in asked]
    for name, view, kind in zip(names, given_views, kinds, strict=False):
        got = list(zip(found[f"{name}__v0"].to_pylist(), found[f"{name}__v1"].to_pylist(), strict=True))
        assert got == answers(as_kept(view, kind), asked)
