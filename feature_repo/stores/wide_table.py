"""The online store's file: one wide sqlite table per feature view; without Feast, so readers start at once.

Keys are TEXT and form the primary key (`without rowid`: the rows of one customer lie together); features
are native INTEGER, REAL or TEXT columns; timestamps are whole unix seconds; `event_ts` is unix
microseconds. Null and NaN are both NULL. The file is in WAL mode: readers go on reading the last committed
state while a view is written.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

EVENT = "event_ts"
CHUNK = 50_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SQLITE_TYPES = {
    "string": "TEXT",
    "int": "INTEGER",
    "bool": "INTEGER",
    "timestamp": "INTEGER",
    "float": "REAL",
    "bytes": "BLOB",
}


@dataclass(frozen=True)
class WideTable:
    """One view's table: its name, join keys, and (feature, kind) in column order.

    Kinds: string, int, bool, timestamp, float, bytes. `ttl_seconds` 0: rows never expire.
    """

    table: str
    keys: tuple[str, ...]
    features: tuple[tuple[str, str], ...]
    ttl_seconds: float = 0.0

    def to_json(self) -> str:
        """The table as JSON, the same bytes for equal tables."""
        return json.dumps(asdict(self), sort_keys=True)

    @property
    def columns(self) -> list[str]:
        """Names of all columns: keys, features, event timestamp."""
        return [*self.keys, *(name for name, _ in self.features), EVENT]


def microseconds(when: datetime) -> int:
    """Unix microseconds of a naive (UTC) or zoned moment, exactly."""
    since = (when if when.tzinfo else when.replace(tzinfo=UTC)) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def quote(name: str) -> str:
    """`name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def open_writer(path: Path) -> sqlite3.Connection:
    """Open the file for writing, creating it in WAL mode; transactions are explicit, writers take turns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, isolation_level=None, timeout=60.0, check_same_thread=False)
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = normal")
    connection.execute("pragma cache_size = -65536")
    connection.execute("pragma journal_size_limit = 67108864")
    connection.execute(
        "create table if not exists wide_views (name text primary key, definition text not null, "
        "watermark integer, boundary integer, fingerprint text) without rowid"
    )
    return connection


def open_reader(path: Path, patience: float = 60.0) -> sqlite3.Connection:
    """Open the file read-only; it must exist. A statement waits `patience` seconds at most for a lock."""
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=patience)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """One write transaction: all of it or nothing."""
    connection.execute("begin immediate")
    try:
        yield
    except BaseException:
        connection.execute("rollback")
        raise
    connection.execute("commit")


def create(connection: sqlite3.Connection, table: WideTable) -> bool:
    """Make sure the table is there and as defined; returns whether it was made anew (then it is empty)."""
    if defined(connection, table.table) == table:
        return False
    keys = [f"{quote(key)} text not null" for key in table.keys]
    features = [f"{quote(name)} {_SQLITE_TYPES[kind]}" for name, kind in table.features]
    primary = ", ".join(quote(key) for key in table.keys)
    columns = ", ".join([*keys, *features, f"{EVENT} integer not null", f"primary key ({primary})"])
    drop(connection, table.table)
    connection.execute(f"create table {quote(table.table)} ({columns}) without rowid")
    connection.execute("insert into wide_views (name, definition) values (?, ?)", [table.table, table.to_json()])
    return True


def defined(connection: sqlite3.Connection, table: str) -> WideTable | None:
    """The table as it stands in the file, or None; it lags behind the definition until rows are written."""
    found = connection.execute("select definition from wide_views where name = ?", [table]).fetchone()
    if found is None:
        return None
    known = json.loads(found[0])
    features = tuple((name, kind) for name, kind in known["features"])
    return WideTable(known["table"], tuple(known["keys"]), features, known["ttl_seconds"])


def drop(connection: sqlite3.Connection, table: str) -> None:
    """Remove a table and what is remembered of it, if it is there."""
    connection.execute(f"drop table if exists {quote(table)}")
    connection.execute("delete from wide_views where name = ?", [table])


def upsert_sql(table: WideTable) -> str:
    """SQL that writes one row unless a newer one is there."""
    columns = table.columns
    changed = [name for name in columns if name not in table.keys]
    return (
        f"insert into {quote(table.table)} ({', '.join(map(quote, columns))}) "
        f"values ({', '.join('?' * len(columns))}) "
        f"on conflict ({', '.join(map(quote, table.keys))}) do update set "
        f"{', '.join(f'{quote(name)} = excluded.{quote(name)}' for name in changed)} "
        f"where excluded.{EVENT} >= {quote(table.table)}.{EVENT}"
    )


def write_table(connection: sqlite3.Connection, table: WideTable, rows: pa.Table, timestamp: str) -> int:
    """Upsert the rows of an Arrow table, column by column; newer rows in the file stay. Returns rows given.

    `rows` has the keys, the features and the event timestamp column called `timestamp`. Call it inside
    `transaction`; writing the same rows again changes nothing.
    """
    sql = upsert_sql(table)
    kinds = [*((key, "string") for key in table.keys), *table.features]
    for start in range(0, rows.num_rows, CHUNK):
        chunk = rows.slice(start, CHUNK)
        columns = [natives(chunk[name], kind) for name, kind in kinds]
        columns.append(event_micros(chunk[timestamp]))
        connection.executemany(sql, zip(*columns, strict=True))
    return int(rows.num_rows)


def natives(column: pa.ChunkedArray, kind: str) -> list[Any]:
    """Python values sqlite can bind, fast for millions of values."""
    if kind in ("string", "bytes"):
        typed = pc.cast(column, pa.string() if kind == "string" else pa.binary())
        return list(typed.to_numpy(zero_copy_only=False))
    if kind == "float":
        return list(pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False).tolist())
    if kind == "timestamp":
        whole = pc.floor(pc.divide(pc.cast(pc.cast(_micros(column), pa.int64()), pa.float64()), 1_000_000.0))
        integers = pc.cast(whole, pa.int64())
    else:
        integers = pc.cast(column, pa.int64())
    if integers.null_count == 0:
        return list(integers.to_numpy().tolist())
    values = integers.fill_null(0).to_numpy().astype(object)
    values[pc.is_null(integers).to_numpy(zero_copy_only=False)] = None
    return list(values)


def event_micros(column: pa.ChunkedArray) -> list[int]:
    """Event timestamps as unix microseconds."""
    return list(pc.cast(_micros(column), pa.int64()).to_numpy().tolist())


def _micros(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Timestamps of any unit, zone or date type as UTC microseconds (finer digits are cut)."""
    return pc.cast(column, pa.timestamp("us", tz=getattr(column.type, "tz", None)), safe=False)
