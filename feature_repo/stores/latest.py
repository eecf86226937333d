"""SQL that reads a source as a log: its newest row per key, all its rows, a digest of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import duckdb

from feature_repo.stores.retrieval import Query
from feature_repo.stores.session import instant, moment, one_row, quote, readable


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


def latest_rows(log: Log, start: datetime, end: datetime, *, corrections: bool) -> Query:
    """The newest row per key in the range, by key, with the tie rules of the point-in-time join.

    Rows without a key drop out: nobody can ask for them.
    """

    def query(connection: duckdb.DuckDBPyConnection) -> str:
        source = replace(log, relation=readable(connection, log.relation))
        connection.execute(_newest(source, start, end, corrections=corrections))
        connection.execute(_found(source, ties=False))
        found, wanted = one_row(connection, "select (select count(*) from found), (select count(*) from newest)")
        if found > wanted:
            connection.execute(_found(source, ties=True))
        order = f" order by {', '.join(quote(key) for key in log.keys)}" if log.keys else ""
        return f"select * from found{order}"

    return query


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
