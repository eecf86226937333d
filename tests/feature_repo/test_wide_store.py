"""WideSqliteOnlineStore: what is written, what wins, what is read."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from feast import Entity, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import Array, Bool, Float32, Float64, Int64, String, UnixTimestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.stores import wide_table
from feature_repo.stores.wide_sqlite import WideSqliteOnlineStore
from feature_repo.stores.wide_table import WideTable

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
TABLE = WideTable("t", ("key",), (("value", "int"),))


def a_view(*fields: Field, ttl: timedelta = timedelta(0)) -> FeatureView:
    entities = [Entity(name=name, join_keys=[f"{name}_id"], value_type=ValueType.STRING) for name in ("a", "b")]
    keys = [Field(name="a_id", dtype=String), Field(name="b_id", dtype=String)]
    source = FileSource(name="none", path="none.parquet", timestamp_field="ts")
    return FeatureView(name="view", entities=entities, ttl=ttl, schema=[*keys, *fields], source=source)


@pytest.fixture
def config(tmp_path) -> RepoConfig:
    return RepoConfig(
        project="p",
        provider="local",
        registry={"registry_type": "sql", "path": f"sqlite:///{tmp_path}/registry.db"},
        online_store={"type": "feature_repo.stores.wide_sqlite.WideSqliteOnlineStore", "path": "online.db"},
        entity_key_serialization_version=3,
        repo_path=tmp_path,
    )


def key(a: str, b: str) -> EntityKey:
    return EntityKey(join_keys=["b_id", "a_id"], entity_values=[Value(string_val=b), Value(string_val=a)])


def test_every_type_comes_back_as_it_was_written(config):
    view = a_view(
        Field(name="i", dtype=Int64),
        Field(name="f", dtype=Float64),
        Field(name="g", dtype=Float32),
        Field(name="s", dtype=String),
        Field(name="b", dtype=Bool),
        Field(name="t", dtype=UnixTimestamp),
        Field(name="missing", dtype=Int64),
    )
    values = {
        "i": Value(int64_val=2**60 + 1),
        "f": Value(double_val=0.1),
        "g": Value(float_val=0.5),
        "s": Value(string_val="x"),
        "b": Value(bool_val=False),
        "t": Value(unix_timestamp_val=-5),
    }
    store = WideSqliteOnlineStore()
    store.online_write_batch(config, view, [(key("1", "2"), values, NOON, None)], None)
    found = store.online_read(config, view, [key("2", "1"), key("1", "2")])
    assert found == [(None, None), (NOON, {**values, "missing": Value()})]
    assert store.online_read(config, view, [key("1", "2")], ["i"]) == [(NOON, {"i": values["i"]})]


def test_arrow_rows_come_back_and_null_and_nan_are_both_missing(config):
    view = a_view(Field(name="i", dtype=Int64), Field(name="f", dtype=Float64), Field(name="t", dtype=UnixTimestamp))
    rows = pa.table(
        {
            "a_id": ["1", "2"],
            "b_id": ["x", "x"],
            "i": pa.array([2**60 + 1, None], pa.int64()),
            "f": [np.nan, 2.5],
            "t": pa.array([datetime(2024, 1, 1, 0, 0, 0, 900_000), None], pa.timestamp("us")),
            "ts": pa.array([datetime(2024, 1, 1)] * 2, pa.timestamp("us")),
        }
    )
    store = WideSqliteOnlineStore()
    assert store.write_table(config, view, rows, "ts") == 2
    (_, one), (_, two) = store.online_read(config, view, [key("1", "x"), key("2", "x")])
    second = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())
    assert one == {"i": Value(int64_val=2**60 + 1), "f": Value(), "t": Value(unix_timestamp_val=second)}
    assert two == {"i": Value(), "f": Value(double_val=2.5), "t": Value()}


def test_rows_past_the_ttl_are_not_handed_out(config):
    view = a_view(Field(name="i", dtype=Int64), ttl=timedelta(hours=1))
    store, now = WideSqliteOnlineStore(), datetime.now(UTC)
    for name, age in (("old", timedelta(hours=2)), ("new", timedelta(minutes=1))):
        store.online_write_batch(config, view, [(key(name, ""), {"i": Value(int64_val=1)}, now - age, None)], None)
    old, new = store.online_read(config, view, [key("old", ""), key("new", "")])
    assert old == (None, None)
    assert new[1] == {"i": Value(int64_val=1)}


def test_a_changed_view_keeps_serving_until_its_new_rows_are_written(config):
    store = WideSqliteOnlineStore()
    before, after = a_view(Field(name="i", dtype=Int64)), a_view(Field(name="j", dtype=Int64))
    store.online_write_batch(config, before, [(key("1", "1"), {"i": Value(int64_val=1)}, NOON, None)], None)
    store.update(config, [], [after], [], [], partial=True)
    assert store.online_read(config, before, [key("1", "1")])[0][1] == {"i": Value(int64_val=1)}
    store.online_write_batch(config, after, [(key("2", "2"), {"j": Value(int64_val=2)}, NOON, None)], None)
    assert store.online_read(config, after, [key("1", "1"), key("2", "2")])[0] == (None, None)


def test_teardown_leaves_nothing(config, tmp_path):
    store, view = WideSqliteOnlineStore(), a_view(Field(name="i", dtype=Int64))
    store.update(config, [], [view], [], [], partial=True)
    assert (tmp_path / "online.db").exists()
    store.teardown(config, [view], [])
    assert not list(tmp_path.glob("online.db*"))


def test_a_type_a_column_cannot_hold_is_refused(config):
    with pytest.raises(TypeError, match="view:v is of type DOUBLE_LIST"):
        WideSqliteOnlineStore().update(
            config, [], [a_view(Field(name="v", dtype=Array(Float64)))], [], [], partial=True
        )


def rows_of(drawn) -> pa.Table:
    times = [datetime(2024, 1, 1) + timedelta(minutes=minute) for _, minute, _ in drawn]
    return pa.table(
        {
            "key": pa.array([name for name, _, _ in drawn], pa.string()),
            "value": pa.array([value for _, _, value in drawn], pa.int64()),
            "at": pa.array(times, pa.timestamp("us")),
        }
    )


ROWS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.none() | st.integers(0, 9)), max_size=8)


@settings(max_examples=40, deadline=None)
@given(st.lists(ROWS, max_size=4))
def test_the_newest_row_stays_whatever_the_order_of_writes(tmp_path_factory, batches):
    path = tmp_path_factory.mktemp("wide") / "online.db"
    connection = wide_table.open_writer(path)
    expected: dict[str, tuple[int, int | None]] = {}
    for batch in batches:
        for _ in range(2):
            with wide_table.transaction(connection):
                wide_table.create(connection, TABLE)
                wide_table.write_table(connection, TABLE, rows_of(batch), "at")
        for name, minute, value in batch * 2:
            if name not in expected or minute >= expected[name][0]:
                expected[name] = (minute, value)
    if batches:
        found = dict(connection.execute("select key, value from t").fetchall())
        assert found == {name: value for name, (_, value) in expected.items()}
    connection.close()


def test_readers_see_the_last_commit_while_a_view_is_written(tmp_path):
    path = tmp_path / "online.db"
    connection = wide_table.open_writer(path)
    with wide_table.transaction(connection):
        wide_table.create(connection, TABLE)
        wide_table.write_table(connection, TABLE, rows_of([("a", 1, 1)]), "at")
    reader = wide_table.open_reader(path)
    with pytest.raises(RuntimeError), wide_table.transaction(connection):
        wide_table.write_table(connection, TABLE, rows_of([("a", 2, 2)]), "at")
        assert reader.execute("select value from t").fetchall() == [(1,)]
        raise RuntimeError
    assert reader.execute("select value from t").fetchall() == [(1,)]
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("delete from t")
