"""The model server's way to features: one SQL statement per view, then numpy; no Feast, no pandas."""

from __future__ import annotations

import math
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from feature_repo.stores import wide_table
from feature_repo.stores.description import OnlineStoreError, description_path, read_description
from feature_repo.stores.packed import WideTable
from feature_repo.stores.wide_table import quote
from feature_repo.vectors import Asked, FeatureReader, Rows

SERVICE = "product_recommender"
LOCKED = 60.0
"""Seconds a read without a limit of its own waits for a lock."""
STEPS = 10_000
"""Steps of sqlite's machine between two looks at the clock: well below a millisecond."""


def open_reader(address: Path | str, service: str = SERVICE, *, patience: float | None = None) -> FeatureReader:
    """Open the online store at `address`: a sqlite file, or `redis://host:port/db`.

    With `patience`, a read is given up after so many seconds.

    Raises:
        OnlineStoreError: when the store or the service is not there.
    """
    if isinstance(address, str) and "://" in address:
        from feature_repo.reader_redis import RedisReader

        return RedisReader(address, service, patience=patience)
    return OnlineReader(Path(address), service, patience=patience)


class Deadline:
    """When a connection is to give up (`time.monotonic`)."""

    def __init__(self) -> None:
        self.at = math.inf

    def passed(self) -> bool:
        """Whether it is now."""
        return time.monotonic() > self.at


class OnlineReader(FeatureReader):
    """Reads from the online store's sqlite file.

    Every thread has a read-only connection of its own. A reader sees what is committed when it reads, all views
    as of the same commit.
    """

    def __init__(self, path: Path, service: str = SERVICE, *, patience: float | None = None) -> None:
        """Open the online store at `path`; `service.json` beside it says what to read.

        With `patience`, a read is given up after so many seconds, whether it waits for a lock or works; only
        a disk that does not return a page can hold it longer.

        Raises:
            OnlineStoreError: when the store or the service is not there.
        """
        self._path, self.patience = Path(path), patience
        if not self._path.exists():
            raise OnlineStoreError(f"no online store at {path}: materialize it first")
        super().__init__(read_description(description_path(self._path), service))
        self._file = self._identity()
        self._take(tuple(view.table for view in self._service.views))
        self._local = threading.local()

    def current(self) -> bool:
        """Whether the file it reads is still the one at the path."""
        try:
            return self._identity() == self._file
        except OSError:
            return False

    def unfilled(self) -> tuple[str, ...]:
        """Tables without progress, and without a row that was pushed."""
        names = [view.table.table for view in self._service.views]
        with self._snapshot() as connection:
            known = {name for (name,) in connection.execute(_FILLED)}
            empty = [each for each in names if each not in known and not _has_rows(connection, each)]
        return tuple(dict.fromkeys(empty))

    def close(self) -> None:
        """Close this thread's connection (a later read opens one again); else it stays until it is collected."""
        opened: tuple[sqlite3.Connection, Deadline] | None = self._local.__dict__.pop("opened", None)
        if opened:
            opened[0].close()

    def _identity(self) -> tuple[int, int]:
        stat = self._path.stat()
        return stat.st_dev, stat.st_ino  # not reused while a connection holds the old file

    def _take(self, tables: tuple[WideTable, ...]) -> None:
        self._tables = tables, [_select(table) for table in tables]

    def _fetch(self, asked: list[Asked]) -> tuple[tuple[WideTable, ...], list[Rows]]:
        with self._snapshot() as connection:
            try:
                return self._rows(connection, asked)
            except sqlite3.OperationalError as error:
                if "no such column" not in str(error):
                    raise
            self._take(self._defined(connection))
            return self._rows(connection, asked)

    def _rows(self, connection: sqlite3.Connection, asked: list[Asked]) -> tuple[tuple[WideTable, ...], list[Rows]]:
        tables, statements = self._tables
        found = []
        texts: dict[int, str] = {}  # views share lists of keys
        for view, leading, last in asked:
            text = texts.get(id(last)) or texts.setdefault(id(last), orjson.dumps(last).decode())
            rows = dict(connection.execute(statements[view], [*leading, text]).fetchall())
            found.append([rows.get(key) for key in last])
        return tables, found

    def _defined(self, connection: sqlite3.Connection) -> tuple[WideTable, ...]:
        """The tables as they are now: a view was defined anew, but may still have what is read of it."""
        there = [wide_table.defined(connection, view.table.table) for view in self._service.views]
        return tuple(new or view.table for new, view in zip(there, self._service.views, strict=True))

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """A transaction: its statements see one commit, wait for a lock once, and share one deadline."""
        try:
            connection, deadline = self._connection()
            connection.execute("begin")
            deadline.at = time.monotonic() + (self.patience or math.inf)
            try:
                yield connection
            finally:
                deadline.at = math.inf  # the end must not be given up
                connection.rollback()
        except sqlite3.Error as error:
            changed = "; its definition changed: materialize the online store and open a new reader"
            raise OnlineStoreError(
                f"{self._path} cannot be read ({error}){changed if 'no such' in str(error) else ''}"
            ) from error

    def _connection(self) -> tuple[sqlite3.Connection, Deadline]:
        opened: tuple[sqlite3.Connection, Deadline] | None = getattr(self._local, "opened", None)
        if opened is None:
            opened = wide_table.open_reader(self._path, self.patience or LOCKED), Deadline()
            if self.patience:
                opened[0].set_progress_handler(opened[1].passed, STEPS)
            self._local.opened = opened
        return opened


_FILLED = "select name from packed_views where watermark is not null"


def _has_rows(connection: sqlite3.Connection, table: str) -> bool:
    return connection.execute(f"select 1 from {quote(table)} limit 1").fetchone() is not None


def _select(table: WideTable) -> str:
    """SQL with one parameter per key; the last is a JSON list, so that one statement fits any number.

    The rows are named in full: a lone name in quotes that sqlite does not know, it takes for a text.
    """
    *leading, last = table.keys
    where = "".join(f"{quote(key)} = ? and " for key in leading)
    return (
        f"select {quote(last)}, {quote(table.table)}.{wide_table.row_column(table)} from {quote(table.table)} "
        f"where {where}{quote(last)} in (select value from json_each(?))"
    )
