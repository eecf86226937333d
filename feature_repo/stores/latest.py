"""SQL that reads a source as a log: its newest row per key, all its rows, a digest of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import duckdb
import pyarrow as pa

from feature_repo.stores.asof_join import moment
from feature_repo.stores.retrieval import Tables
from feature_repo.stores.session import one_row, quote, readable


def instant(when: datetime) -> str:
    """SQL for a moment, naive (UTC) or zoned."""
    naive = when.astimezone(UTC).replace(tzinfo=None) if when.tzinfo else when
    return f"timestamp '{naive.isoformat(sep=' ')}'"


def _within(column: str, start: datetime | None, end: datetime | None) -> str:
    bounds = [f"{column} >= {instant(start)}"] if start is not None else []
    bounds += [f"{column} <= {instant(end)}"] if end is not None else []
    return " and ".join(bounds) or "true"


@dataclass(frozen=True)
class Log:
    """A source read as a log of what was true when: its relation and the columns that matter."""

    relation: str
    keys: list[str]
    features: list[str]
    timestamp: str
    created: str | None


def latest_rows(log: Log, start: datetime, end: datetime, batch_rows: int, *, corrections: bool) -> Tables:
    """The newest row per key in the range, by key, with the tie rules of the point-in-time join.

    Rows without a key drop out: nobody can ask for them.
    """

    def tables(connection: duckdb.DuckDBPyConnection) -> Iterator[pa.Table]:
        source = replace(log, relation=readable(connection, log.relation))
        connection.execute(_newest(source, start, end, corrections=corrections))
        connection.execute(_found(source, ties=False))
        found, wanted = one_row(connection, "select (select count(*) from found), (select count(*) from newest)")
        if found > wanted:
            connection.execute(_found(source, ties=True))
        order = f" order by {', '.join(quote(key) for key in log.keys)}" if log.keys else ""
        yield from streamed(f"select * from found{order}", batch_rows)(connection)

    return tables


def _times(log: Log) -> tuple[str, str]:
    """SQL for when a row of `s` became valid and when it became known."""
    valid_at = moment(f"s.{quote(log.timestamp)}")
    return valid_at, f"coalesce({moment('s.' + quote(log.created))}, {valid_at})" if log.created else valid_at


def _newest(log: Log, start: datetime, end: datetime, *, corrections: bool) -> str:
    valid_at, known_at = _times(log)
    keys = [f"s.{quote(key)}" for key in log.keys]
    rows = [_within(valid_at, start, end), *(f"{key} is not null" for key in keys)]
    if log.created and corrections:
        rows.append(f"{known_at} <= {instant(end)}")
    return (
        f"create temp table newest as select {''.join(f'{key}, ' for key in keys)}"
        f"max({{'valid_at': {valid_at}, 'known_at': {known_at}}}) as times from {log.relation} as s "
        f"where {' and '.join(rows)} {'group by all' if keys else 'having count(*) > 0'}"
    )


def _found(log: Log, *, ties: bool) -> str:
    valid_at, known_at = _times(log)
    columns = [*log.keys, *log.features, log.timestamp, *([log.created] if log.created else [])]
    keys = "".join(f"s.{quote(key)} = n.{quote(key)} and " for key in log.keys)
    by = ", ".join([*(f"s.{quote(key)}" for key in log.keys)] or ["true"])
    return (
        f"create or replace temp table found as select {f'distinct on ({by}) ' if ties else ''}"
        f"{', '.join(f's.{quote(name)}' for name in columns)} from {log.relation} as s join newest as n "
        f"on {keys}{valid_at} = n.times.valid_at and {known_at} = n.times.known_at"
        f"{f' order by {by}, s desc' if ties else ''}"
    )


def all_sql(relation: str, columns: list[str], timestamp: str, start: datetime | None, end: datetime | None) -> str:
    """Every row of the range."""
    chosen = ", ".join(f"s.{quote(name)}" for name in columns)
    return f"select {chosen} from {relation} as s where {_within(moment('s.' + quote(timestamp)), start, end)}"


def fingerprint_sql(relation: str, timestamp: str, until: list[datetime]) -> str:
    """Per moment `count:sum of row hashes` over the rows up to it, in one scan."""
    valid_at = moment(f"s.{quote(timestamp)}")
    digests = [
        f"(count(*) filter ({valid_at} <= {instant(when)}))::varchar || ':' || "
        f"coalesce(sum(hash(s)::hugeint) filter ({valid_at} <= {instant(when)}), 0)::varchar"
        for when in until
    ]
    return f"select {', '.join(digests)} from {relation} as s"


def streamed(sql: str, batch_rows: int) -> Tables:
    """A function that runs `sql` on a session and yields the result in tables of `batch_rows` rows."""

    def tables(connection: duckdb.DuckDBPyConnection) -> Iterator[pa.Table]:
        reader = connection.sql(sql).to_arrow_reader(batch_rows)
        yield reader.schema.empty_table()
        for batch in reader:
            yield pa.Table.from_batches([batch])

    return tables
