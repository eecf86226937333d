"""Dagster's sqlite event log with what it lacks to be quick: connections that stay open, events in batches.

The stock storage opens a database, and on closing it flushes it, for every event: a tenth of a second each. A run over
a range of days records one materialization per asset and day, half a year of the shop 3,800 of them, and one result per
check and day. `DAGSTER_EVENT_BATCH_SIZE` makes Dagster hand them over in batches, and this class stores a batch in one
transaction (Postgres has both). It reads the same files as the stock one.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import sqlalchemy
from dagster._core.events import ASSET_EVENTS
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData

KEPT_OPEN = 4
"""Databases (the index, and one per run) that stay open; the one not used for longest is closed for another."""


class BatchedSqliteEventLog(SqliteEventLogStorage):
    """`event_log_storage` for `dagster.yaml`; takes the same `base_dir` as the stock one and reads the same files."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._open: OrderedDict[str, sqlalchemy.Engine] = OrderedDict()
        self._begun: dict[str, sqlalchemy.Connection] = {}
        self._tables: set[str] = set()
        super().__init__(base_dir, inst_data)
        self._db_lock: Any = threading.RLock()  # one thread at a time, which may ask again within its transaction

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        """Build the storage from `dagster.yaml`."""
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sqlalchemy.Connection]:
        """A transaction in a database; asked for again within it, the same one."""
        with self._db_lock:
            if shard in self._begun:
                yield self._begun[shard]
                return
            with self._engine(shard).connect() as connection, connection.begin():
                self._begun[shard] = connection
                try:
                    yield connection
                finally:
                    del self._begun[shard]

    def _engine(self, shard: str) -> sqlalchemy.Engine:
        """The database of a run (or of the index) with one connection, which stays open."""
        if shard not in self._open:
            engine = sqlalchemy.create_engine(
                self.conn_string_for_shard(shard),
                poolclass=sqlalchemy.QueuePool, pool_size=1, max_overflow=-1,
                connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
            )  # fmt: skip
            if not sqlalchemy.inspect(engine).has_table("alembic_version"):
                self._initdb(engine)
            self._open[shard] = engine
        self._open.move_to_end(shard)
        while len(self._open) > KEPT_OPEN:
            self._open.popitem(last=False)[1].dispose()
        return self._open[shard]

    def has_table(self, table_name: str) -> bool:
        """Whether the index has a table; asked for every event of a check, and a table that is there stays."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def store_event(self, event: EventLogEntry) -> None:
        """Store one event."""
        super().store_event(event)
        self._tell_watchers(event.run_id)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events of one run: all or none in the run's own file, then all or none in the index."""
        if len({event.run_id for event in events}) != 1:
            super().store_event_batch(events)
            return
        of_assets: list[tuple[EventLogEntry, int]] = []
        with self.index_connection() as index, self.run_connection(events[0].run_id) as run:
            for event in events:
                if event.is_dagster_event and event.dagster_event_type in ASSET_EVENTS:
                    insert = self.prepare_insert_event(event)
                    run.execute(insert)
                    if (key := index.execute(insert).inserted_primary_key) is not None:
                        of_assets.append((event, key[0]))
                else:
                    super().store_event(event)
            self._store_assets(index, of_assets)
        self._tell_watchers(events[0].run_id)

    def _store_assets(self, index: sqlalchemy.Connection, events: Sequence[tuple[EventLogEntry, int]]) -> None:
        """Tags of each event, and each asset's newest one (the stock log writes an asset's row for every event)."""
        self._store_asset_event_tags(index, [event for event, _ in events], [at for _, at in events])
        newest = {event.get_dagster_event().asset_key: (event, at) for event, at in events}
        for event, at in newest.values():
            self._store_asset_event(index, event, at)

    def _tell_watchers(self, run_id: str) -> None:
        """The UI follows a run by its file's modifications; an open connection writes beside it."""
        os.utime(self.path_for_shard(run_id))

    def wipe(self) -> None:
        """Forget every run."""
        self.close()
        super().wipe()

    def dispose(self) -> None:
        """Close what is open."""
        super().dispose()
        self.close()

    def close(self) -> None:
        """Close every database; the next use opens it again."""
        with self._db_lock:
            while self._open:
                self._open.popitem()[1].dispose()
