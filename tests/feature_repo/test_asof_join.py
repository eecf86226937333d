"""The point-in-time join against a brute-force oracle."""

from __future__ import annotations

from datetime import datetime, timedelta

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.stores import asof_join, latest
from feature_repo.stores.asof_join import Column, ViewJoin
from feature_repo.stores.session import OfflineStoreError

START = datetime(2024, 1, 1)
KEYS = st.sampled_from(["a", "b", "c", None])
MINUTES = st.integers(0, 12)


@st.composite
def cases(draw):
    source = draw(st.lists(st.tuples(KEYS, MINUTES, st.none() | MINUTES, st.integers(0, 99)), max_size=14))
    entities = draw(st.lists(st.tuples(KEYS, st.none() | MINUTES), max_size=10))
    ttl = draw(st.sampled_from([0, 60, 240]))
    return source, entities, ttl, draw(st.booleans()), draw(st.booleans())


def oracle(source, key, minute, ttl, *, has_created, corrections):
    """Value of the newest row of `key` that was valid and known at `minute`, by looking at each."""
    if key is None or minute is None:
        return None
    best = None
    for row_key, valid, created, value in source:
        known = valid if created is None or not has_created else created
        shown = valid <= minute and (known <= minute or not (has_created and corrections))
        if row_key == key and shown:
            # Equal times: the greatest row, column by column; an unknown creation time sorts last in DuckDB.
            row = (valid, known, created is None, created or 0, value)
            best = row if best is None else max(best, row)
    if best is None or (ttl and (minute - best[0]) * 60 > ttl):
        return None
    return best[4]


def tables(connection, source, entities):
    def time(minute):
        return None if minute is None else START + timedelta(minutes=minute)

    rows = [(key, time(valid), time(created), value) for key, valid, created, value in source]
    moments = pa.timestamp("us")
    schema = {"key": pa.string(), "valid": moments, "created": moments, "value": pa.int64()}
    arrow = {n: pa.array([r[i] for r in rows], t) for i, (n, t) in enumerate(schema.items())}
    connection.register("source_rows", pa.table(arrow))
    connection.execute("create table source as select * from source_rows")
    asked = {
        "key": pa.array([key for key, _ in entities], pa.string()),
        "at": pa.array([time(minute) for _, minute in entities], moments),
        "place": pa.array(range(len(entities)), pa.int64()),
    }
    connection.register("asked", pa.table(asked))


def view(ttl: int, has_created: bool, corrections: bool) -> ViewJoin:
    return ViewJoin(
        relation="source",
        keys=(Column("key", "key", "varchar"),),
        features=(Column("value", "v__value", "bigint"),),
        timestamp="valid",
        created="created" if has_created else None,
        ttl_seconds=ttl,
        corrections=corrections,
    )


@settings(max_examples=120, deadline=None)
@given(cases())
def test_equals_the_oracle_in_the_order_of_the_entity_rows(case):
    source, entities, ttl, has_created, corrections = case
    join = view(ttl, has_created, corrections)
    with duckdb.connect(config={"threads": 1}) as connection:
        tables(connection, source, entities)
        rows = asof_join.load_entities(connection, "asked", "at")
        asof_join.resolve(connection, [join])
        sql = asof_join.slice_sql(["place"], [join])
        found = [row for start in range(0, rows, 4) for row in connection.execute(sql, [start, start + 4]).fetchall()]
    expected = [
        (place, oracle(source, key, minute, ttl, has_created=has_created, corrections=corrections))
        for place, (key, minute) in enumerate(entities)
    ]
    assert found == expected


@settings(max_examples=60, deadline=None)
@given(cases(), MINUTES)
def test_newest_row_per_key_is_what_the_join_sees_at_that_moment(case, minute):
    source, _, _, has_created, corrections = case
    with duckdb.connect(config={"threads": 1}) as connection:
        tables(connection, source, [])
        log = latest.Log("source", ["key"], ["value"], "valid", "created" if has_created else None)
        end = START + timedelta(minutes=minute)
        rows = pa.concat_tables(latest.latest_rows(log, START, end, 5, corrections=corrections)(connection))
    expected = {key: oracle(source, key, minute, 0, has_created=has_created, corrections=corrections) for key in "abc"}
    found = dict(zip(rows["key"].to_pylist(), rows["value"].to_pylist(), strict=True))
    assert found == {key: value for key, value in expected.items() if value is not None}
    assert list(found) == sorted(found)


def test_digest_is_that_of_the_rows_up_to_the_moment_in_any_order():
    rows = [("a", 1, None, 1), ("b", 2, None, 2), ("a", 5, None, 3)]
    digests = []
    for source in (rows, rows[::-1], rows[:2], [*rows[:2], ("a", 5, None, 4)]):
        with duckdb.connect() as connection:
            tables(connection, source, [])
            until = [START + timedelta(minutes=2), START + timedelta(minutes=9)]
            digests.append(connection.execute(latest.fingerprint_sql("source", "valid", until)).fetchall()[0])
    assert digests[0] == digests[1]
    assert {early for early, _ in digests} == {digests[0][0]}
    assert len({late for _, late in digests}) == 3


def test_a_name_that_would_appear_twice_is_refused():
    with pytest.raises(OfflineStoreError, match="v__value would appear twice"):
        asof_join.check_names(["v__value"], [view(0, False, True)])
