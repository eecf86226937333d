"""Filling one view's online table from the offline store, in Arrow, incrementally where that is exact."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from feast import FeatureStore

from feature_repo.stores import wide_table
from feature_repo.stores.asof import AsofOfflineStore
from feature_repo.stores.wide_sqlite import WideSqliteOnlineStore, database, table_of
from feature_repo.stores.wide_table import EVENT, WideTable, microseconds, quote

_BEGINNING = datetime(1, 1, 1)


@dataclass(frozen=True)
class Progress:
    """Up to when a table is filled, and the digest of the source's rows up to `boundary` when it was."""

    watermark: datetime
    boundary: datetime
    fingerprint: str


def materialize_view(store: FeatureStore, view: Any, as_of: datetime, window: timedelta, *, full: bool) -> int:
    """Write the newest row per key at `as_of`; returns the rows written."""
    as_of = as_of.astimezone(UTC).replace(tzinfo=None) if as_of.tzinfo else as_of
    online = store._get_provider().online_store
    if not isinstance(online, WideSqliteOnlineStore):
        raise TypeError(f"materialize writes to a WideSqliteOnlineStore, not to {type(online).__name__}")
    table, boundary = table_of(store.config, view), as_of - window
    progress = _read_progress(store, table)
    digests = _digests(store, view, [boundary, progress.boundary if progress else boundary])
    rows = None
    if progress and not full and as_of >= progress.watermark and digests[1] == progress.fingerprint:
        rows = _latest(store, view, progress.boundary + timedelta(microseconds=1), as_of)
    with online.writing(store.config) as connection:
        if rows is None or progress is None or _vanished(connection, table, rows, view, progress):
            rows = _latest(store, view, _BEGINNING, as_of)
            backwards = progress is not None and as_of < progress.watermark
            _clear(connection, table, None if backwards else as_of)
        written = wide_table.write_table(connection, table, rows, view.batch_source.timestamp_field)
        _write_progress(connection, table, Progress(as_of, boundary, digests[0]))
    return written


def _latest(store: FeatureStore, view: Any, start: datetime, end: datetime) -> pa.Table:
    source = view.batch_source
    behind = {name: column for column, name in source.field_mapping.items()}
    columns = {behind.get(name, name): name for name in [*view.join_keys, *(field.name for field in view.features)]}
    keys = [behind.get(name, name) for name in view.join_keys]
    job = AsofOfflineStore.pull_latest_from_table_or_query(
        store.config,
        source,
        keys,
        [column for column in columns if column not in keys],
        source.timestamp_field,
        source.created_timestamp_column or None,
        start,
        end,
    )
    rows = job.to_arrow()
    return rows.rename_columns([columns.get(name, name) for name in rows.column_names])


def _digests(store: FeatureStore, view: Any, until: list[datetime]) -> list[str]:
    source = view.batch_source
    return AsofOfflineStore.fingerprints(store.config, source, source.timestamp_field, until)


def _vanished(connection: sqlite3.Connection, table: WideTable, rows: pa.Table, view: Any, progress: Progress) -> bool:
    """Whether a row written within the window is no longer in the source: then only a full run is exact."""
    keys = ", ".join(quote(key) for key in table.keys)
    span = [microseconds(progress.boundary), microseconds(progress.watermark)]
    there = connection.execute(
        f"select {keys}, {EVENT} from {quote(table.table)} where {EVENT} > ? and {EVENT} <= ?", span
    )
    times = wide_table.event_micros(rows[view.batch_source.timestamp_field])
    given = dict(zip(zip(*(rows[key].to_pylist() for key in table.keys), strict=True), times, strict=True))
    return any(given.get(tuple(row[:-1]), -1) < row[-1] for row in there)


def _clear(connection: sqlite3.Connection, table: WideTable, until: datetime | None) -> None:
    """Empty the table, but keep rows pushed for later than `until`."""
    if wide_table.create(connection, table):
        return
    newest = f" where {EVENT} <= {microseconds(until)}" if until else ""
    connection.execute(f"delete from {quote(table.table)}{newest}")


def _read_progress(store: FeatureStore, table: WideTable) -> Progress | None:
    connection = wide_table.open_writer(database(store.config))
    try:
        if wide_table.defined(connection, table.table) != table:
            return None
        sql = "select watermark, boundary, fingerprint from wide_views where name = ?"
        row: Any = connection.execute(sql, [table.table]).fetchone()
    finally:
        connection.close()
    if row is None or row[0] is None:
        return None
    moments = [datetime(1970, 1, 1) + timedelta(microseconds=value) for value in row[:2]]
    return Progress(moments[0], moments[1], row[2])


def _write_progress(connection: sqlite3.Connection, table: WideTable, progress: Progress) -> None:
    connection.execute(
        "update wide_views set watermark = ?, boundary = ?, fingerprint = ? where name = ?",
        [
            microseconds(progress.watermark),
            microseconds(progress.boundary),
            progress.fingerprint,
            table.table,
        ],
    )
