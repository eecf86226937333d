"""Features of many customers as of one moment, without a join in time: the newest row of each key, made once a day.

Where every row asks about the same moment, the point-in-time join is a look-up: `LatestFeatures` asks the offline store
once for each view's newest rows, keeps them as Parquet by key, and finds the rows of a chunk of customers by equality.
The answers are those of `feature_repo.historical.training_frame`, to the bit; a test holds that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ml_assets.metrics.ranking import FloatArray, IntArray
from ml_assets.storage.files import replace_file

if TYPE_CHECKING:
    from feast import FeatureStore

ROW_GROUP = 16_384
_BEGINNING = datetime(1, 1, 1)


@dataclass(frozen=True)
class _View:
    """A view's newest rows: the file, the key columns, and the columns that are needed as `<view>__<feature>`."""

    file: Path
    keys: tuple[str, ...]
    columns: Mapping[str, str]


@dataclass(frozen=True)
class LatestFeatures:
    """The features of one service as of `as_of`, for any rows of a chunk of customers; made by `latest_features`."""

    as_of: datetime
    features: tuple[str, ...]
    views: tuple[_View, ...]
    entity: str

    def of(self, rows: pa.Table, wanted: Sequence[str]) -> pa.Table:
        """The wanted features of the rows, float32 each, NaN where missing.

        Args:
            rows: the join keys and any further columns, which may be wanted too; customers in ascending order.
            wanted: columns of `rows` and features `<view>__<feature>`; every one is known.
        """
        from feature_repo.derived import PREFIX, derive, stored_for

        needed = set(stored_for(wanted))
        columns: dict[str, NDArray[Any]] = {name: rows[name].to_numpy() for name in wanted if name in rows.column_names}
        for view in self.views:
            columns.update(self._of_view(view, rows, needed))
        if any(name.startswith(PREFIX) for name in wanted):
            columns.update(derive(columns, np.full(len(rows), self.as_of.replace(tzinfo=UTC).timestamp())))
        with np.errstate(over="ignore"):  # beyond float32 is infinite, as in a training set
            return pa.table({name: np.asarray(columns[name], dtype=np.float32) for name in wanted})

    def _of_view(self, view: _View, rows: pa.Table, needed: set[str]) -> dict[str, FloatArray]:
        from feature_repo.derived import numbers

        chosen = {column: name for column, name in view.columns.items() if name in needed}
        if not chosen or not len(rows):
            return {name: np.empty(len(rows)) for name in chosen.values()}
        bounds = None
        if self.entity in view.keys:
            ids = rows[self.entity]
            bounds = [(self.entity, ">=", ids[0].as_py()), (self.entity, "<=", ids[len(ids) - 1].as_py())]
        latest = pq.read_table(view.file, columns=[*view.keys, *chosen], filters=bounds, use_threads=False)
        at = positions(rows, latest, view.keys)
        return {name: np.append(numbers(latest[column]), np.nan)[at] for column, name in chosen.items()}


def latest_features(store: FeatureStore, service: str, as_of: datetime, entity: str, folder: Path) -> LatestFeatures:
    """Write the newest row of each key at `as_of` of every view behind the service; what is written is kept.

    Args:
        store: the feature store, on this project's offline store.
        service: the feature service.
        as_of: the moment (UTC, naive); rows of exactly then count.
        entity: the key that chunks are cut by.
        folder: takes a Parquet file per view, by key.

    Raises:
        OfflineStoreError: when the warehouse cannot be read.
    """
    from feature_repo.derived import stored_for
    from feature_repo.store import feature_names

    names = feature_names(store, service)
    needed, views = set(stored_for(names)), []
    for view in store.list_feature_views():
        columns = {f"{view.name}__{field.name}": field.name for field in view.features}
        chosen = {column: name for name, column in columns.items() if name in needed}
        if chosen:
            file = folder / f"{view.name}.parquet"
            if not file.exists():
                _write_latest(store, view, list(chosen), as_of, file)
            views.append(_View(file, tuple(view.join_keys), chosen))
    return LatestFeatures(as_of, tuple(names), tuple(views), entity)


def _write_latest(store: FeatureStore, view: Any, columns: list[str], as_of: datetime, file: Path) -> None:
    from feature_repo.stores.asof import AsofOfflineStore
    from feature_repo.stores.retrieval import write_parquet

    source, keys = view.batch_source, list(view.join_keys)
    behind = {name: column for column, name in source.field_mapping.items()}
    job = AsofOfflineStore.pull_latest_from_table_or_query(
        store.config,
        source,
        [behind.get(key, key) for key in keys],
        [behind.get(column, column) for column in columns],
        source.timestamp_field,
        source.created_timestamp_column or None,
        as_of - view.ttl if view.ttl else _BEGINNING,
        as_of,
    )
    names = [*keys, *columns]
    tables = (table.select(range(len(names))).rename_columns(names) for table in job.to_tables())
    with replace_file(file) as aside:
        write_parquet((part for table in tables for part in _sliced(table)), aside)


def _sliced(table: pa.Table) -> Iterator[pa.Table]:
    """The table in row groups so small that a chunk of customers reads little more than its own."""
    yield table.slice(0, ROW_GROUP)
    for start in range(ROW_GROUP, len(table), ROW_GROUP):
        yield table.slice(start, ROW_GROUP)


def positions(rows: pa.Table, latest: pa.Table, keys: Sequence[str]) -> IntArray:
    """[n] row of `latest` with the keys of each row, the number of its rows where there is none.

    A key of several columns is a number, base the distinct values of each; one of `latest` is never repeated.
    """
    wanted, known = np.zeros(len(rows), np.int64), np.zeros(len(latest), np.int64)
    missing = np.zeros(len(rows), bool)
    for key in keys:
        values = pc.unique(latest[key])
        at = np.asarray(pc.fill_null(pc.index_in(rows[key], value_set=values), -1))
        missing |= at < 0
        wanted = wanted * len(values) + at
        known = known * len(values) + np.asarray(pc.index_in(latest[key], value_set=values))
    order = np.argsort(known)
    at = np.append(order, len(known))[np.searchsorted(known, wanted, sorter=order)]
    return np.where(missing | (np.append(known, -1)[at] != wanted), len(known), at)
