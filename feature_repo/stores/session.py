"""One DuckDB session per retrieval: in memory, bounded, with the warehouse attached read-only."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb


class OfflineStoreError(RuntimeError):
    """The offline store cannot do what was asked; the message says why and what to do."""


def quote(name: str) -> str:
    """`name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """`text` as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def moment(expression: str) -> str:
    """SQL for a date, a naive (UTC) or a zoned timestamp as naive UTC; the session's time zone is UTC."""
    return f"cast({expression} as timestamp)"


def instant(when: datetime | None) -> str:
    """SQL for a moment, naive (UTC) or zoned; null when there is none."""
    if when is None:
        return "null::timestamp"
    naive = when.astimezone(UTC).replace(tzinfo=None) if when.tzinfo else when
    return f"timestamp '{naive.isoformat(sep=' ')}'"


@contextmanager
def open_session(config: Any) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection set up by `config.offline_store`: times in UTC, the warehouse as default schema.

    A private in-memory database holds the temporary tables, so memory, threads and spill folder are this
    session's own whatever else the process has open.

    Raises:
        OfflineStoreError: when there is no database file, or a writer keeps it over `patience_seconds`.
    """
    store = config.offline_store
    database = Path(store.database) if store.database else None
    spill = store.temp_directory or (
        str(database.with_name(f"{database.name}.spill"))
        if database
        else str(Path(tempfile.gettempdir()) / "feast-asof-spill")
    )
    settings = {"threads": store.threads, "memory_limit": store.memory, "temp_directory": spill}
    connection = duckdb.connect(":memory:", config=settings)
    try:
        connection.execute("set timezone = 'UTC'")
        if database:
            _attach(connection, database, store.patience_seconds)
        yield connection
    finally:
        connection.close()


def parquet(path: str | Path) -> str:
    """SQL for the rows of a Parquet file, of all files of a folder, or of those that match a pattern.

    What there is by exactly that name is no pattern, whatever signs it has. In a folder or pattern,
    parts named `column=value` are columns.

    Raises:
        OfflineStoreError: when there is none.
    """
    alone = Path(path).is_file()
    several = not alone and (Path(path).is_dir() or any(sign in str(path) for sign in ("*", "?", "[", "://")))
    if not several and not alone:
        raise OfflineStoreError(f"there is no Parquet file {path}")
    files = f"{_exact(path)}/**/*.parquet" if Path(path).is_dir() else _exact(path) if alone else str(path)
    return f"read_parquet({literal(files)}, hive_partitioning = {str(several).lower()})"


def _exact(path: str | Path) -> str:
    """A path that DuckDB takes for that file alone: a sign of its patterns is written as a class of one."""
    text = str(path)
    if "\\" in text and any(sign in text for sign in "*?["):
        raise OfflineStoreError(f"{text}: a name with a backslash and one of * ? [ cannot be read: rename it")
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in text)


def one_row(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    """The first row of a query's answer; the answer is read to its end, so that the session is free again."""
    rows = connection.execute(sql).fetchall()
    return tuple(rows[0]) if rows else ()


def readable(connection: duckdb.DuckDBPyConnection, relation: str) -> str:
    """`relation` with zoned nanosecond timestamps as microseconds: DuckDB can cast those to nothing else.

    pandas writes such columns by default.
    """
    described = connection.execute(f"describe select * from {relation}").fetchall()
    finer = [quote(row[0]) for row in described if row[1] == "TIMESTAMPTZ_NS"]
    if not finer:
        return relation
    replaced = ", ".join(f"cast(cast({name} as timestamp_ns) as timestamptz) as {name}" for name in finer)
    return f"(select * replace ({replaced}) from {relation})"


def _attach(connection: duckdb.DuckDBPyConnection, database: Path, patience_seconds: float) -> None:
    if not database.exists():
        raise OfflineStoreError(f"no warehouse at {database}: build the feature tables first")
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            connection.execute(f"attach {literal(str(database))} as warehouse (read_only)")
            break
        except duckdb.IOException as error:
            if "lock" not in str(error).lower() or time.monotonic() > deadline:
                raise OfflineStoreError(f"cannot read the warehouse {database}: {error}") from error
            time.sleep(0.5)
    connection.execute("use warehouse")
