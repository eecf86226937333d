"""A Feast online store of one sqlite table of packed rows per view: the default, nothing to run.

online_store:
type: feature_repo.stores.wide_sqlite.WideSqliteOnlineStore
path: online.db
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from feast import Entity, FeatureView
from feast.repo_config import FeastConfigBaseModel, RepoConfig

from feature_repo.stores import wide_table
from feature_repo.stores.description import description_path
from feature_repo.stores.packed import WideTable
from feature_repo.stores.packing import Packed
from feature_repo.stores.wide import Keys, Progress, WideOnlineStore
from feature_repo.stores.wide_table import quote
from ml_assets.storage.file_lock import file_lock
from ml_assets.storage.files import write_text_atomically

_PROGRESS = "watermark, boundary, fingerprint, recent"


class WideSqliteOnlineStoreConfig(FeastConfigBaseModel):
    """Configuration of `WideSqliteOnlineStore`."""

    type: str = "feature_repo.stores.wide_sqlite.WideSqliteOnlineStore"
    """Class of the store."""
    path: str = "online.db"
    """The sqlite file; a relative path is relative to the feature repository."""


class WideSqliteOnlineStore(WideOnlineStore):
    """The packed rows in a sqlite file; every write is one transaction."""

    def __init__(self) -> None:
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.RLock()

    def address(self, config: RepoConfig) -> Path:
        """The sqlite file."""
        path = Path(config.online_store.path)
        return path if path.is_absolute() or not config.repo_path else Path(config.repo_path) / path

    def define(self, config: RepoConfig, kept: Sequence[WideTable], dropped: Sequence[str]) -> None:
        """Make the tables of new views, drop those of removed ones, in one transaction."""
        with self._writing(config) as connection:
            for wide in kept:
                if wide_table.defined(connection, wide.table) is None:
                    wide_table.create(connection, wide)
            for table in dropped:
                wide_table.drop(connection, table)

    def teardown(self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Entity]) -> None:
        """Drop the views' tables; the file is removed when none is left."""
        with self._writing(config) as connection:
            for view in tables:
                wide_table.drop(connection, f"{config.project}__{view.name}")
            left = connection.execute("select count(*) from packed_views").fetchone()[0]
        with self._lock:
            connection.close()
            self._connection = None
        if not left:
            for suffix in ("", "-wal", "-shm", ".lock"):
                self._beside(config, suffix).unlink(missing_ok=True)

    def exclusive(self, config: RepoConfig) -> AbstractContextManager[Any]:
        """A lock file beside the database."""
        return file_lock(self._beside(config, ".lock"))

    def progress(self, config: RepoConfig, table: WideTable) -> Progress | None:
        """Up to when the table is materialized; None when it never was, or held rows of another form."""
        with self._lock:
            connection = self._connect(config)
            there = wide_table.defined(connection, table.table)
            sql = f"select {_PROGRESS} from packed_views where name = ?"
            row = connection.execute(sql, [table.table]).fetchone()
        same = there is not None and there.form == table.form
        return Progress(*row) if same and row[0] is not None else None

    def advance(
        self, config: RepoConfig, table: WideTable, parts: Iterable[Packed], progress: Callable[[], Progress]
    ) -> int:
        """Add rows of the offline store and note the progress in one transaction."""
        with self._writing(config) as connection:
            wide_table.create(connection, table)
            given = wide_table.write(connection, table, parts, pushed=False)
            _note(connection, table, progress())
        return given

    def rebuild(
        self, config: RepoConfig, table: WideTable, parts: Iterable[Packed], progress: Callable[[], Progress]
    ) -> int:
        """Write the table anew and note the progress in one transaction."""
        with self._writing(config) as connection:
            given = wide_table.rebuild(connection, table, parts)
            _note(connection, table, progress())
        return given

    def push(self, config: RepoConfig, table: WideTable, parts: Iterable[Packed]) -> None:
        """Write rows that did not come from the offline store in one transaction."""
        with self._writing(config) as connection:
            wide_table.create(connection, table)
            wide_table.write(connection, table, parts, pushed=True)

    def fetch(self, config: RepoConfig, table: str, keys: Keys) -> tuple[WideTable | None, list[bytes | None]]:
        """The table as it stands, and its row of each key."""
        with self._lock:
            connection = self._connect(config)
            there = wide_table.defined(connection, table)
            if there is None:
                return None, [None] * len(keys)
            where = " and ".join(f"{quote(key)} = ?" for key in there.keys)
            sql = f"select {wide_table.row_column(there)} from {quote(table)} where {where}"
            found = [connection.execute(sql, key).fetchone() for key in keys]
        return there, [row and row[0] for row in found]

    def describe(self, config: RepoConfig, text: str | None = None) -> str | None:
        """`service.json` beside the database."""
        path = description_path(self.address(config))
        if text is not None:
            write_text_atomically(path, text)
        return path.read_text() if path.exists() else None

    def _beside(self, config: RepoConfig, suffix: str) -> Path:
        path = self.address(config)
        return path.with_name(path.name + suffix)

    def _connect(self, config: RepoConfig) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = wide_table.open_writer(self.address(config))
        return self._connection

    @contextmanager
    def _writing(self, config: RepoConfig) -> Iterator[sqlite3.Connection]:
        """One write transaction on the file; readers see all of it or nothing."""
        with self._lock:
            connection = self._connect(config)
            with wide_table.transaction(connection):
                yield connection


def _note(connection: sqlite3.Connection, table: WideTable, progress: Progress) -> None:
    connection.execute(
        f"update packed_views set definition = ?, ({_PROGRESS}) = (?, ?, ?, ?) where name = ?",
        [
            table.to_json(),
            progress.watermark,
            progress.boundary,
            progress.fingerprint,
            progress.recent,
            table.table,
        ],
    )
