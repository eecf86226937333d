"""The online store's sqlite file: one table of packed rows per feature view; without Feast, so readers start at once.

Keys are TEXT and form the primary key (`without rowid`: the rows of one customer lie together); `event_ts` is
unix microseconds; the last column holds the features (`feature_repo.stores.packed`) and is named after their
form, so that nobody reads a row as what it is not. The file is in WAL mode: readers go on reading the last
committed state while a view is written.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from feature_repo.stores.packed import WideTable

if TYPE_CHECKING:
    import pyarrow as pa

    from feature_repo.stores.packing import Packed

EVENT = "event_ts"
PAGES_KIB = 32_768
"""Page cache of a connection. Not a memory map: a page the disk fails to give would end the process."""


def quote(name: str) -> str:
    """`name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def row_column(table: WideTable) -> str:
    """The column of packed rows of this form, quoted."""
    return quote(f"row_{table.form}")


def open_writer(path: Path) -> sqlite3.Connection:
    """Open the file for writing, creating it in WAL mode; transactions are explicit, writers take turns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, isolation_level=None, timeout=60.0, check_same_thread=False)
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = normal")
    connection.execute(f"pragma cache_size = -{2 * PAGES_KIB}")
    connection.execute("pragma journal_size_limit = 67108864")
    connection.execute(
        "create table if not exists packed_views (name text primary key, definition text not null, "
        "watermark integer, boundary integer, fingerprint text, recent blob) without rowid"
    )
    return connection


def open_reader(path: Path, patience: float = 60.0) -> sqlite3.Connection:
    """Open the file read-only; it must exist. A statement waits `patience` seconds at most for a lock."""
    uri = f"{path.resolve().as_uri()}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=patience)
    connection.execute(f"pragma cache_size = -{PAGES_KIB}")
    return connection


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
    """Make sure the table is there and of this form; returns whether it was made anew (then it is empty)."""
    there = defined(connection, table.table)
    if there and there.form == table.form:
        return False
    drop(connection, table.table)
    _create(connection, table, table.table)
    connection.execute("insert into packed_views (name, definition) values (?, ?)", [table.table, table.to_json()])
    return True


def _create(connection: sqlite3.Connection, table: WideTable, name: str) -> None:
    keys = [f"{quote(key)} text not null" for key in table.keys]
    others = [f"{EVENT} integer not null", "pushed integer not null", f"{row_column(table)} blob not null"]
    primary = f"primary key ({_keys(table)})"
    connection.execute(f"create table {quote(name)} ({', '.join([*keys, *others, primary])}) without rowid")


def defined(connection: sqlite3.Connection, table: str) -> WideTable | None:
    """The table as it stands in the file, or None; it lags behind the definition until rows are written."""
    found = connection.execute("select definition from packed_views where name = ?", [table]).fetchone()
    return WideTable.from_dict(json.loads(found[0])) if found else None


def drop(connection: sqlite3.Connection, table: str) -> None:
    """Remove a table and what is remembered of it, if it is there."""
    connection.execute(f"drop table if exists {quote(table)}")
    connection.execute("delete from packed_views where name = ?", [table])


def write(connection: sqlite3.Connection, table: WideTable, parts: Iterable[Packed], *, pushed: bool) -> int:
    """Write each row unless a newer one is there; returns rows given. Call it inside `transaction`.

    `pushed` rows did not come from the offline store, so `rebuild` keeps them.
    """
    return _write(connection, table, table.table, parts, pushed=pushed)


def _write(
    connection: sqlite3.Connection, table: WideTable, name: str, parts: Iterable[Packed], *, pushed: bool
) -> int:
    row, given = row_column(table), 0
    sql = (
        f"insert into {quote(name)} ({_keys(table)}, {EVENT}, {row}, pushed) "
        f"values ({'?, ' * (len(table.keys) + 2)}{int(pushed)}) on conflict ({_keys(table)}) do update set "
        f"{EVENT} = excluded.{EVENT}, {row} = excluded.{row}, pushed = {int(pushed)} where excluded.{EVENT} >= {EVENT}"
    )
    for part in parts:
        connection.executemany(sql, zip(*part.keys, part.times, part.rows, strict=True))
        given += len(part.rows)
    return given


def rebuild(connection: sqlite3.Connection, table: WideTable, parts: Iterable[Packed]) -> int:
    """Let the table hold these rows, and of what was pushed what is newer; returns rows given.

    Call it inside `transaction`.
    """
    create(connection, table)
    fresh = f"{table.table} (new)"
    connection.execute(f"drop table if exists {quote(fresh)}")
    _create(connection, table, fresh)
    given = _write(connection, table, fresh, parts, pushed=False)
    row = row_column(table)
    connection.execute(
        f"insert into {quote(fresh)} select * from {quote(table.table)} where pushed "
        f"on conflict ({_keys(table)}) do update set {EVENT} = excluded.{EVENT}, {row} = excluded.{row}, pushed = 1 "
        f"where excluded.{EVENT} > {EVENT}"
    )
    connection.execute(f"drop table {quote(table.table)}")
    connection.execute(f"alter table {quote(fresh)} rename to {quote(table.table)}")
    return given


def write_table(connection: sqlite3.Connection, table: WideTable, rows: pa.Table, timestamp: str) -> int:
    """Write an Arrow table (keys, features, event timestamp column `timestamp`) as `write` does."""
    from feature_repo.stores.packing import pack_table

    return write(connection, table, pack_table(table, rows, timestamp), pushed=False)


def _keys(table: WideTable) -> str:
    return ", ".join(map(quote, table.keys))
