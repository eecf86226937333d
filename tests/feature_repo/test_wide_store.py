"""Both online stores behind Feast: what is written, what wins, what is read."""

from __future__ import annotations

import sqlite3
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
import redis
from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import Array, Bool, Bytes, Float32, Float64, Int64, String, UnixTimestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from online_contents import table_contents
from online_stores import PRODUCTS, Small, minutes, small_store, versions

from feature_repo.stores import wide_table
from feature_repo.stores.packed import WideTable
from feature_repo.stores.packing import pack_table
from feature_repo.stores.wide import table_of

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
TABLE = WideTable("p__t", ("key",), (("value", "int"), ("text", "string")))


@pytest.fixture(params=["sqlite", "redis"])
def small(request, tmp_path) -> Small:
    address = request.getfixturevalue("empty_redis") if request.param == "redis" else ""
    return small_store(request.param, tmp_path, address)


def a_view(*fields: Field, ttl: timedelta = timedelta(0)) -> FeatureView:
    entities = [Entity(name=name, join_keys=[f"{name}_id"], value_type=ValueType.STRING) for name in ("a", "b")]
    keys = [Field(name="a_id", dtype=String), Field(name="b_id", dtype=String)]
    source = FileSource(name="none", path="none.parquet", timestamp_field="ts")
    return FeatureView(name="view", entities=entities, ttl=ttl, schema=[*keys, *fields], source=source)


def key(a: str, b: str) -> EntityKey:
    return EntityKey(join_keys=["b_id", "a_id"], entity_values=[Value(string_val=b), Value(string_val=a)])


def push(small: Small, view: FeatureView, entity: EntityKey, when: datetime, **values: Value) -> None:
    small.store.online_write_batch(small.config, view, [(entity, values, when, None)], None)


def test_every_type_comes_back_as_it_was_written(small):
    types = {"i": Int64, "f": Float64, "g": Float32, "s": String, "y": Bytes, "b": Bool, "t": UnixTimestamp}
    view = a_view(*(Field(name=name, dtype=dtype) for name, dtype in types.items()), Field(name="no", dtype=String))
    values = {
        "i": Value(int64_val=2**60 + 1),
        "f": Value(double_val=0.1),
        "g": Value(float_val=0.5),
        "s": Value(string_val="ü"),
        "y": Value(bytes_val=b"\0\xff"),
        "b": Value(bool_val=False),
        "t": Value(unix_timestamp_val=-5),
    }
    push(small, view, key("1", "2"), NOON, **values)
    found = small.store.online_read(small.config, view, [key("2", "1"), key("1", "2")])
    assert found == [(None, None), (NOON, {**values, "no": Value()})]
    assert small.store.online_read(small.config, view, [key("1", "2")], ["i"]) == [(NOON, {"i": values["i"]})]


def test_arrow_rows_come_back_and_null_and_nan_are_both_missing(small):
    dtypes = {"i": Int64, "f": Float64, "t": UnixTimestamp, "s": String}
    view = a_view(*(Field(name=name, dtype=dtype) for name, dtype in dtypes.items()))
    rows = pa.table(
        {
            "a_id": ["1", "2"],
            "b_id": ["x", "x"],
            "i": pa.array([2**60 + 1, None], pa.int64()),
            "f": [np.nan, 2.5],
            "t": pa.array([datetime(2024, 1, 1, 0, 0, 0, 900_000), None], pa.timestamp("us")),
            "s": ["", None],
            "at": pa.array([datetime(2024, 1, 1)] * 2, pa.timestamp("us")),
        }
    )
    small.write("rebuild", table_of(small.config, view), rows)
    (_, one), (_, two) = small.store.online_read(small.config, view, [key("1", "x"), key("2", "x")])
    second = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())
    whole = Value(int64_val=2**60 + 1)
    assert one == {"i": whole, "f": Value(), "t": Value(unix_timestamp_val=second), "s": Value(string_val="")}
    assert two == {"i": Value(), "f": Value(double_val=2.5), "t": Value(), "s": Value()}


def test_rows_past_the_ttl_are_not_handed_out(small):
    view, now = a_view(Field(name="i", dtype=Int64), ttl=timedelta(hours=1)), datetime.now(UTC)
    for name, age in (("old", timedelta(hours=2)), ("new", timedelta(minutes=1))):
        push(small, view, key(name, ""), now - age, i=Value(int64_val=1))
    old, new = small.store.online_read(small.config, view, [key("old", ""), key("new", "")])
    assert old == (None, None)
    assert new[1] == {"i": Value(int64_val=1)}


def test_keys_are_told_apart_whatever_is_in_them(small):
    view = a_view(Field(name="i", dtype=Int64))
    pairs = [("a", "b:c"), ("a:b", "c"), ("1:a", ""), ("", "1:a"), ("*", "?"), ("ü", "'\"\\")]
    for number, pair in enumerate(pairs):
        push(small, view, key(*pair), NOON, i=Value(int64_val=number))
    found = small.store.online_read(small.config, view, [key(*pair) for pair in pairs])
    assert [values["i"].int64_val for _, values in found] == list(range(len(pairs)))


def test_a_changed_view_keeps_serving_until_its_new_rows_are_written(small):
    before, after = a_view(Field(name="i", dtype=Int64)), a_view(Field(name="j", dtype=Int64))
    push(small, before, key("1", "1"), NOON, i=Value(int64_val=1))
    small.store.update(small.config, [], [after], [], [], partial=True)
    assert small.store.online_read(small.config, before, [key("1", "1")])[0][1] == {"i": Value(int64_val=1)}
    push(small, after, key("2", "2"), NOON, j=Value(int64_val=2))
    found = small.store.online_read(small.config, after, [key("1", "1"), key("2", "2")])
    assert found == [(None, None), (NOON, {"j": Value(int64_val=2)})]


def test_a_new_view_is_empty_and_a_dropped_one_is_gone(small):
    view = a_view(Field(name="i", dtype=Int64))
    small.store.update(small.config, [], [view], [], [], partial=True)
    assert table_contents(small.address, table_of(small.config, view)) == {}
    push(small, view, key("1", "1"), NOON, i=Value(int64_val=1))
    small.store.update(small.config, [view], [], [], [], partial=True)
    assert small.store.online_read(small.config, view, [key("1", "1")]) == [(None, None)]


def test_teardown_leaves_nothing(small, tmp_path):
    view = a_view(Field(name="i", dtype=Int64))
    push(small, view, key("1", "1"), NOON, i=Value(int64_val=1))
    small.describe()
    small.store.teardown(small.config, [view], [])
    assert not list(tmp_path.glob("online.db*"))
    if isinstance(small.address, str):
        assert redis.Redis.from_url(small.address).keys() == []


def test_a_type_a_column_cannot_hold_is_refused(small):
    view = a_view(Field(name="v", dtype=Array(Float64)))
    with pytest.raises(TypeError, match="view:v is of type DOUBLE_LIST"):
        small.store.update(small.config, [], [view], [], [], partial=True)


def rows_of(drawn) -> pa.Table:
    return pa.table(
        {
            "key": pa.array([name for name, _, _ in drawn], pa.string()),
            "value": pa.array([value for _, _, value in drawn], pa.int64()),
            "text": pa.array([str(value) if value else None for _, _, value in drawn], pa.string()),
            "at": pa.array([minutes(minute) for _, minute, _ in drawn], pa.timestamp("us")),
        }
    )


State = dict[str, tuple[int, int | None, bool]]
ROWS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.none() | st.integers(1, 9)), max_size=8)
WRITES = st.lists(st.tuples(st.sampled_from(["push", "advance", "rebuild"]), ROWS), min_size=1, max_size=5)


def expected(state: State, how: str, rows) -> State:
    """Newer stays; a rebuild forgets all but what was pushed and is newer."""
    new = {} if how == "rebuild" else dict(state)
    for name, minute, value in rows:
        if name not in new or minute >= new[name][0]:
            new[name] = (minute, value, how == "push")
    for name, (minute, value, pushed) in state.items():
        if pushed and (name not in new or minute > new[name][0]):
            new[name] = (minute, value, True)
    return new


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(writes=WRITES)
def test_the_newest_row_stays_whatever_the_order_of_writes(small, writes):
    table, state = replace(TABLE, table=f"p__{uuid.uuid4().hex}"), State()
    for how, rows in writes:
        for _ in range(2):  # writing again changes nothing
            small.write(how, table, rows_of(rows))
            state = expected(state, how, rows)
    found = table_contents(small.address, table)
    assert {key: (when, values["value"]) for (key,), (when, values) in found.items()} == {
        name: (micros(minute), value) for name, (minute, value, _) in state.items()
    }


def micros(minute: int) -> int:
    return int(minutes(minute).replace(tzinfo=UTC).timestamp() * 1e6)


def test_packing_a_table_and_packing_its_rows_give_the_same_bytes(small):
    rows = versions(7, 3)
    (packed,) = pack_table(PRODUCTS, rows, "at")
    one_by_one = [PRODUCTS.layout.pack(row, micros(7)) for row in rows.to_pylist()]
    assert packed.rows == one_by_one


def test_readers_see_the_last_commit_while_a_view_is_written(tmp_path):
    path = tmp_path / "online.db"
    connection = wide_table.open_writer(path)
    with wide_table.transaction(connection):
        wide_table.create(connection, TABLE)
        wide_table.write_table(connection, TABLE, rows_of([("a", 1, 1)]), "at")
    first = table_contents(path, TABLE)
    reader = wide_table.open_reader(path)
    for rewrite in (wide_table.write, wide_table.rebuild):
        options = {"pushed": False} if rewrite is wide_table.write else {}
        with pytest.raises(RuntimeError), wide_table.transaction(connection):
            rewrite(connection, TABLE, pack_table(TABLE, rows_of([("a", 2, 2)]), "at"), **options)
            assert table_contents(path, TABLE) == first
            raise RuntimeError
        assert table_contents(path, TABLE) == first
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute(f"delete from {TABLE.table}")
    reader.close()
    connection.close()
