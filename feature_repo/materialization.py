"""Filling one view's online table from the offline store, in Arrow, incrementally where that is exact."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from feast import FeatureStore

from feature_repo.stores.asof import AsofOfflineStore
from feature_repo.stores.packed import WideTable, microseconds
from feature_repo.stores.packing import Packed, event_micros, pack_table
from feature_repo.stores.wide import Progress, WideOnlineStore, table_of

_BEGINNING = datetime(1, 1, 1)
_EPOCH = datetime(1970, 1, 1)
_TIME = "written_for"


def online_store(store: FeatureStore) -> WideOnlineStore:
    """The online store behind a feature store.

    Raises:
        TypeError: when it is not one of this project's.
    """
    online = store._get_provider().online_store
    if not isinstance(online, WideOnlineStore):
        raise TypeError(f"this project writes to a WideOnlineStore, not to {type(online).__name__}")
    return online


def materialize_view(store: FeatureStore, view: Any, as_of: datetime, window: timedelta, *, full: bool) -> int:
    """Write the newest row per key at `as_of` (naive: UTC); returns the rows written."""
    online, table = online_store(store), table_of(store.config, view)
    with online.exclusive(store.config):
        before = online.progress(store.config, table)
        watermark, boundary = microseconds(as_of), microseconds(as_of - window)
        if before and not full and watermark >= before.watermark:
            after = max(boundary, before.boundary)
            digests = _digests(store, view, [after, before.boundary])
            if digests[1] == before.fingerprint:
                rows = pa.concat_tables(_latest(store, view, _moment(before.boundary + 1), _moment(watermark)))
                if not _vanished(table, before, rows, view.batch_source.timestamp_field):
                    return _write(online.advance, store, view, iter([rows]), Progress(watermark, after, digests[0]))
        digest = _digests(store, view, [boundary])[0]
        tables = _latest(store, view, _BEGINNING, _moment(watermark))
        return _write(online.rebuild, store, view, tables, Progress(watermark, boundary, digest))


def _write(
    write: Callable[..., int], store: FeatureStore, view: Any, tables: Iterator[pa.Table], progress: Progress
) -> int:
    """Hand the rows on as they come; what is known of them when all are through is noted with them."""
    table, timestamp, recent = table_of(store.config, view), view.batch_source.timestamp_field, list[pa.Table]()
    first = next(tables)  # the slow part of the query is done before anybody else has to wait

    def parts() -> Iterator[Packed]:
        for rows in chain([first], tables):
            recent.append(_keys_and_times(table, rows, timestamp).filter(pc.field(_TIME) > progress.boundary))
            yield from pack_table(table, rows, timestamp)

    return write(store.config, table, parts(), lambda: replace(progress, recent=_to_bytes(recent)))


def _vanished(table: WideTable, before: Progress, rows: pa.Table, timestamp: str) -> bool:
    """Whether a row that was written is no longer in the source: then only writing all anew is exact."""
    with pa.ipc.open_stream(before.recent) as reader:
        written = reader.read_all()
    there = _keys_and_times(table, rows, timestamp).rename_columns([*table.keys, "there"])
    both = written.join(there, keys=list(table.keys), join_type="left outer")
    return bool(pc.any(pc.fill_null(pc.less(both["there"], both[_TIME]), True), min_count=0).as_py())


def _keys_and_times(table: WideTable, rows: pa.Table, timestamp: str) -> pa.Table:
    keys = {key: pc.cast(rows[key], pa.string()) for key in table.keys}
    return pa.table({**keys, _TIME: event_micros(rows[timestamp])})


def _to_bytes(tables: list[pa.Table]) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, tables[0].schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        for each in tables:
            writer.write_table(each)
    return bytes(sink.getvalue().to_pybytes())


def _latest(store: FeatureStore, view: Any, start: datetime, end: datetime) -> Iterator[pa.Table]:
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
    for rows in job.to_tables():
        yield rows.rename_columns([columns.get(name, name) for name in rows.column_names])


def _digests(store: FeatureStore, view: Any, until: list[int]) -> list[str]:
    source, moments = view.batch_source, [_moment(micros) for micros in until]
    return AsofOfflineStore.fingerprints(store.config, source, source.timestamp_field, moments)


def _moment(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)
