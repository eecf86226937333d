"""A Feast online store of one wide sqlite table per view.

    online_store:
      type: feature_repo.stores.wide_sqlite.WideSqliteOnlineStore
      path: online.db

Feast's own sqlite store writes a protobuf per feature and row; here a row is a row. Newer rows are never
overwritten by older ones, and rows past their view's ttl are not handed out.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from feast import Entity, FeatureView
from feast.infra.online_stores.online_store import OnlineStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from feast.value_type import ValueType

from feature_repo.stores import wide_table
from feature_repo.stores.wide_table import EVENT, WideTable

_KINDS = {
    ValueType.STRING: ("string", "string_val"),
    ValueType.INT32: ("int", "int32_val"),
    ValueType.INT64: ("int", "int64_val"),
    ValueType.FLOAT: ("float", "float_val"),
    ValueType.DOUBLE: ("float", "double_val"),
    ValueType.BOOL: ("bool", "bool_val"),
    ValueType.BYTES: ("bytes", "bytes_val"),
    ValueType.UNIX_TIMESTAMP: ("timestamp", "unix_timestamp_val"),
}
Row = tuple[Any, dict[str, Any], datetime, datetime | None]


class WideSqliteOnlineStoreConfig(FeastConfigBaseModel):
    """Configuration of `WideSqliteOnlineStore`."""

    type: str = "feature_repo.stores.wide_sqlite.WideSqliteOnlineStore"
    """Class of the store."""
    path: str = "online.db"
    """The sqlite file; a relative path is relative to the feature repository."""


def database(config: RepoConfig) -> Path:
    """The sqlite file of a store configuration."""
    path = Path(config.online_store.path)
    return path if path.is_absolute() or not config.repo_path else Path(config.repo_path) / path


def table_of(config: RepoConfig, view: FeatureView) -> WideTable:
    """The wide table that holds a feature view.

    Raises:
        TypeError: when a feature is of a type a sqlite column cannot hold.
    """
    kinds = []
    for field in view.features:
        value_type = field.dtype.to_value_type()
        if value_type not in _KINDS:
            raise TypeError(
                f"feature {view.name}:{field.name} is of type {value_type.name}, which WideSqliteOnlineStore "
                f"cannot hold; it holds {', '.join(kind.name for kind in _KINDS)}"
            )
        kinds.append((field.name, _KINDS[value_type][0]))
    return WideTable(
        table=f"{config.project}__{view.name}",
        keys=tuple(view.join_keys),
        features=tuple(kinds),
        ttl_seconds=view.ttl.total_seconds() if isinstance(view.ttl, timedelta) else 0.0,
    )


class WideSqliteOnlineStore(OnlineStore):
    """Feast's way to the wide tables; `OnlineReader` reads the same file without Feast."""

    def __init__(self) -> None:
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.Lock()

    def _connect(self, config: RepoConfig) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = wide_table.open_writer(database(config))
        return self._connection

    def update(  # noqa: PLR0917 - Feast's signature
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        """Make the tables of new views, drop those of removed ones.

        A table whose view changed keeps serving as it is until rows of the new form are written.
        """
        with self.writing(config) as connection:
            for view in tables_to_keep:
                wide = table_of(config, view)
                if wide_table.defined(connection, wide.table) is None:
                    wide_table.create(connection, wide)
            for view in tables_to_delete:
                wide_table.drop(connection, f"{config.project}__{view.name}")

    def teardown(self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Entity]) -> None:
        """Drop the views' tables; the file is removed when none is left."""
        with self.writing(config) as connection:
            for view in tables:
                wide_table.drop(connection, f"{config.project}__{view.name}")
            left = connection.execute("select count(*) from wide_views").fetchone()[0]
        connection.close()
        self._connection = None
        if not left:
            for suffix in ("", "-wal", "-shm"):
                database(config).with_name(database(config).name + suffix).unlink(missing_ok=True)

    @contextmanager
    def writing(self, config: RepoConfig) -> Iterator[sqlite3.Connection]:
        """One write transaction on the file; readers see all of it or nothing."""
        connection = self._connect(config)
        with self._lock, wide_table.transaction(connection):
            yield connection

    def write_table(self, config: RepoConfig, view: FeatureView, rows: pa.Table, timestamp: str) -> int:
        """Write an Arrow table (keys, features, `timestamp`) in one transaction; returns its rows."""
        table = table_of(config, view)
        with self.writing(config) as connection:
            wide_table.create(connection, table)
            return wide_table.write_table(connection, table, rows, timestamp)

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[Row],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write rows in Feast's form in one transaction; of several rows of a key, the newest stays."""
        wide = table_of(config, table)
        rows = [_bind(wide, *row) for row in data]
        with self.writing(config) as connection:
            wide_table.create(connection, wide)
            connection.executemany(wide_table.upsert_sql(wide), rows)
        if progress:
            progress(len(rows))

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[tuple[datetime | None, dict[str, Value] | None]]:
        """Read the rows of the keys, in their order; (None, None) where there is none or it is expired."""
        connection, wide = self._connect(config), table_of(config, table)
        there = wide_table.defined(connection, wide.table)
        kept = {name for name, _ in there.features} if there else set()
        if not kept:
            return [(None, None)] * len(entity_keys)
        asked = kept.intersection(requested_features) if requested_features is not None else kept
        fields = [field for field in table.features if field.name in asked]
        names = ", ".join([EVENT, *(wide_table.quote(field.name) for field in fields)])
        where = " and ".join(f"{wide_table.quote(key)} = ?" for key in wide.keys)
        sql = f"select {names} from {wide_table.quote(wide.table)} where {where}"
        oldest = wide_table.microseconds(datetime.now(UTC)) - wide.ttl_seconds * 1_000_000
        found: list[tuple[datetime | None, dict[str, Value] | None]] = []
        for entity_key in entity_keys:
            row = connection.execute(sql, _key(wide, entity_key)).fetchone()
            if row is None or (wide.ttl_seconds and row[0] < oldest):
                found.append((None, None))
                continue
            values = {field.name: _proto(field, value) for field, value in zip(fields, row[1:], strict=True)}
            found.append((datetime.fromtimestamp(0, UTC) + timedelta(microseconds=row[0]), values))
        return found


def _key(table: WideTable, entity_key: Any) -> list[str]:
    named = dict(zip(entity_key.join_keys, entity_key.entity_values, strict=True))
    return [str(getattr(named[key], named[key].WhichOneof("val"))) for key in table.keys]


def _bind(table: WideTable, entity_key: Any, values: dict[str, Any], when: datetime, _: datetime | None) -> list[Any]:
    def native(name: str) -> Any:
        which = values[name].WhichOneof("val") if name in values else None
        return getattr(values[name], which) if which else None

    features = [native(name) for name, _ in table.features]
    return [*_key(table, entity_key), *features, wide_table.microseconds(when)]


def _proto(field: Any, value: Any) -> Any:
    proto = Value()
    if value is not None:
        name = _KINDS[field.dtype.to_value_type()][1]
        setattr(proto, name, bool(value) if name == "bool_val" else value)
    return proto
