"""The SQL of the point-in-time join against its definition, whichever way it takes."""

from __future__ import annotations

from datetime import datetime, timedelta

import duckdb
import pyarrow as pa
import pytest
from asof_oracle import TIMES, Row, View, answer, answers, entity_rows, views
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.stores import asof_join, latest
from feature_repo.stores import entity_rows as loading
from feature_repo.stores.asof_join import Column, ViewJoin
from feature_repo.stores.session import OfflineStoreError

START = datetime(2024, 1, 1)
WAYS = {
    "each pair once, of few keys": {"SHARED": 0, "FEW": 0},
    "each pair once, of all keys": {"SHARED": 0, "FEW": 1_000},
    "each row, of few keys": {"SHARED": 1_000, "FEW": 0},
    "each row, of all keys": {"SHARED": 1_000, "FEW": 1_000},
    "each row, by digests that mix up": {"SHARED": 1_000, "digest": lambda names: f"hash({', '.join(names)}) % 3"},
}


def time(minute):
    return None if minute is None else START + timedelta(minutes=minute)


def register(connection, name: str, columns: dict[str, tuple[list, pa.DataType]]) -> None:
    arrays = {column: pa.array(values, kind) for column, (values, kind) in columns.items()}
    connection.register(f"{name}_rows", pa.table(arrays))
    connection.execute(f"create or replace table {name} as select * from {name}_rows")


def add_source(connection, name: str, view: View) -> None:
    moments = pa.timestamp("us")
    keys = {f"k{at}": ([row.keys[at] for row in view.rows], pa.string()) for at in range(len(view.on))}
    values = {f"v{at}": ([row.values[at] for row in view.rows], pa.int64()) for at in range(view.width)}
    times = {
        "valid": ([time(row.valid) for row in view.rows], moments),
        "created": ([time(row.created) for row in view.rows], moments),
    }
    register(connection, name, {**keys, **times, **values})


def as_join(name: str, view: View) -> ViewJoin:
    return ViewJoin(
        relation=name,
        keys=tuple(Column(f"k{at}", key, "varchar") for at, key in enumerate(view.on)),
        features=tuple(Column(f"v{at}", f"{name}__v{at}", "bigint") for at in range(view.width)),
        timestamp="valid",
        created="created" if view.created else None,
        ttl_seconds=60.0 * (view.ttl or 0),
        corrections=view.corrections,
    )


def joined(asked, given_views):
    with duckdb.connect(config={"threads": 1}) as connection:
        columns = {name: ([keys[name] for keys, _ in asked], pa.string()) for name in "xy"}
        columns["place"] = (list(range(len(asked))), pa.int64())
        columns["event_timestamp"] = ([time(moment) for _, moment in asked], pa.timestamp("us"))
        register(connection, "asked", columns)
        joins = []
        for number, view in enumerate(given_views):
            add_source(connection, f"source_{number}", view)
            joins.append(as_join(f"source_{number}", view))
        entities = loading.load(connection, "select * from asked", {"x", "y"})
        return connection.execute(asof_join.resolve(connection, entities, joins)).fetchall()


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=40, deadline=None)
@given(asked=entity_rows(), given_views=st.lists(views(), max_size=3))
def test_equals_the_definition_in_the_order_of_the_entity_rows(way, asked, given_views):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in WAYS[way].items():
            patch.setattr(asof_join, name, value)
        found = joined(asked, given_views)
    assert [row[2] for row in found] == list(range(len(asked)))
    for number, view in enumerate(given_views):
        first = 4 + 2 * number
        assert [row[first : first + 2] for row in found] == answers(view, asked)


def test_many_rows_keep_their_order_and_ties_among_many_are_settled():
    # More rows than a vector, a row group or a join's shortcut holds, so that all of DuckDB's operators take part.
    with duckdb.connect(config={"threads": 2}) as connection:
        connection.execute("create table log as select i % 5000 as k, i // 20000 as t, i as v from range(400_000) r(i)")
        asked = """
            select hash(i) % 6000 as k, i as place, to_timestamp(hash(i, 1) % 20)::timestamp as at
            from range(300_000) as drawn(i)
        """
        join = ViewJoin(
            relation="(select k, to_timestamp(t)::timestamp as valid, v from log)",
            keys=(Column("k", "k", "bigint"),),
            features=(Column("v", "v", "bigint"),),
            timestamp="valid",
            created=None,
            ttl_seconds=0.0,
        )
        entities = loading.load(connection, asked, {"k"})
        connection.execute(f"create table found as {asof_join.resolve(connection, entities, [join])}")
        wrong = """
            select count(*) from found left join (select k, t, max(v) as v from log group by all) as log
                on found.k = log.k and epoch(found.at)::bigint = log.t
            where found.place <> found.rowid or found.v is distinct from log.v
        """
        assert connection.execute(wrong).fetchall() == [(0,)]
        assert connection.execute("select count(*), count(v) < count(*), count(v) > 0 from found").fetchall() == [
            (300_000, True, True)
        ]


@settings(max_examples=40, deadline=None)
@given(views(on=st.just(("x",))), TIMES)
def test_newest_row_per_key_is_what_the_join_sees_at_that_moment(view, minute):
    with duckdb.connect(config={"threads": 1}) as connection:
        add_source(connection, "source", view)
        log = latest.Log("source", ["k0"], ["v0", "v1"], "valid", "created" if view.created else None)
        query = latest.latest_rows(log, START, time(minute), corrections=view.corrections)
        found = {row[0]: row[1:3] for row in connection.execute(query(connection)).fetchall()}
    forever = View(view.on, view.rows, None, view.created, view.corrections)
    seen = {key: [row for row in view.rows if row.keys == (key,)] for key in "ab"}
    expected = {
        key: answer(forever, {"x": key}, minute) for key, rows in seen.items() if _any_shown(view, rows, minute)
    }
    assert found == expected
    assert list(found) == sorted(found)


def _any_shown(view: View, rows: list[Row], minute: int) -> bool:
    marked = tuple(Row(row.keys, row.valid, row.created, (1, 1)) for row in rows)
    probe = View(view.on, marked, None, view.created, view.corrections)
    return any(answer(probe, {"x": row.keys[0]}, minute) == (1, 1) for row in rows)


def test_digest_is_that_of_the_rows_up_to_the_moment_in_any_order():
    rows = [Row((key,), valid, None, (value, None)) for key, valid, value in (("a", 1, 1), ("b", 2, 2), ("a", 5, 3))]
    changed = Row(("a",), 5, None, (4, None))
    digests = []
    for source in (rows, rows[::-1], rows[:2], [*rows[:2], changed]):
        with duckdb.connect() as connection:
            add_source(connection, "source", View(("x",), tuple(source)))
            until = [START + timedelta(minutes=2), START + timedelta(minutes=9)]
            digests.append(connection.execute(latest.fingerprint_sql("source", "valid", until)).fetchall()[0])
    assert digests[0] == digests[1]
    assert {early for early, _ in digests} == {digests[0][0]}
    assert len({late for _, late in digests}) == 3


def test_a_name_that_would_appear_twice_is_refused():
    with pytest.raises(OfflineStoreError, match="source__v0 would appear twice"):
        asof_join.check_names(("source__v0",), [as_join("source", View(("x",), ()))])
