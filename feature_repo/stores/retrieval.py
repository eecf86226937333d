"""What the offline store hands out: a query not yet run, readable whole, in slices, or as a Parquet file."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from feast.infra.offline_stores.file_source import FileSource, SavedDatasetFileStorage
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.repo_config import RepoConfig
from feast.saved_dataset import SavedDatasetStorage

from feature_repo.stores.session import OfflineStoreError, literal, one_row, open_session

Query = Callable[[duckdb.DuckDBPyConnection], str]
"""Prepares a session and returns the SQL that then gives the rows, in order."""
ROW_GROUP = 122_880
"""Rows of a row group that DuckDB writes."""
TimeRange = tuple[datetime | None, datetime | None]
"""The first and the last moment asked for, naive UTC."""


class LazyMetadata(RetrievalMetadata):
    """What was asked for; the range of the entity timestamps is looked up when it is read."""

    def __init__(self, features: list[str], keys: list[str], time_range: Callable[[], TimeRange]) -> None:
        self.features = features
        self.keys = keys
        self._time_range = time_range

    @cached_property
    def _range(self) -> TimeRange:
        return self._time_range()

    @property
    def min_event_timestamp(self) -> datetime | None:  # type: ignore[override]  # read when a dataset is saved
        """The first moment asked for, naive UTC."""
        return self._range[0]

    @property
    def max_event_timestamp(self) -> datetime | None:  # type: ignore[override]
        """The last moment asked for, naive UTC."""
        return self._range[1]


class AsofRetrievalJob(RetrievalJob):
    """A retrieval that runs when it is read; each reading runs it anew, in a session of its own."""

    def __init__(
        self,
        config: RepoConfig,
        query: Query,
        *,
        full_feature_names: bool = False,
        metadata: RetrievalMetadata | None = None,
    ) -> None:
        self._config = config
        self._query = query
        self._full_feature_names = full_feature_names
        self._metadata = metadata

    @property
    def full_feature_names(self) -> bool:
        """Whether features go out as `<view>__<feature>`."""
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[Any]:
        """None: this store computes none."""
        return []

    @property
    def metadata(self) -> RetrievalMetadata | None:
        """The features and keys asked for."""
        return self._metadata

    def to_tables(self) -> Iterator[pa.Table]:
        """Yield the result in order, in tables of at most `batch_rows` rows.

        There is at least one, if only an empty one. Memory is bounded by one slice plus DuckDB's limit,
        whatever the number of rows.
        """
        with open_session(self._config) as connection:
            reader = connection.sql(self._query(connection)).to_arrow_reader(self._config.offline_store.batch_rows)
            first = next(reader, None)
            yield reader.schema.empty_table() if first is None else pa.Table.from_batches([first])
            for batch in reader:
                yield pa.Table.from_batches([batch])

    def to_batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the result in order as record batches."""
        for table in self.to_tables():
            yield from table.to_batches()

    def to_parquet(self, path: str | Path) -> int:
        """Write the result to one Parquet file, published by one rename; returns the number of rows.

        Memory is bounded as in `to_tables`.
        """
        with published(Path(path)) as aside, open_session(self._config) as connection:
            # Only one thread can read tables that lie side by side; of a stream, all encode what it yields.
            stream = connection.sql(self._query(connection)).to_arrow_reader(ROW_GROUP)
            writer = connection.cursor()
            writer.register("stream", stream)
            return int(one_row(writer, f"copy (from stream) to {literal(str(aside))} (format parquet)")[0])

    def to_arrow(self, validation_reference: Any = None, timeout: int | None = None) -> pa.Table:
        """The whole result as one table; see `to_tables` for results that need not fit into memory."""
        if validation_reference is not None:
            return super().to_arrow(validation_reference=validation_reference, timeout=timeout)
        return pa.concat_tables(self.to_tables())

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        return pa.concat_tables(self.to_tables())

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        frame: pd.DataFrame = self._to_arrow_internal(timeout).to_pandas()
        return frame

    def persist(self, storage: SavedDatasetStorage, allow_overwrite: bool = False, timeout: int | None = None) -> None:
        """Write the result to a Parquet file, see `to_parquet`.

        Raises:
            OfflineStoreError: when the storage is no file, or the file exists and may not be overwritten.
        """
        if not isinstance(storage, SavedDatasetFileStorage):
            raise OfflineStoreError(f"can persist to SavedDatasetFileStorage, not to {type(storage).__name__}")
        path = Path(FileSource.get_uri_for_file_path(self._config.repo_path, storage.file_options.uri))
        if path.exists() and not allow_overwrite:
            raise OfflineStoreError(f"{path} exists: pass allow_overwrite=True to replace it")
        self.to_parquet(path)


def _sync(path: Path) -> None:
    """Have a file's bytes, or a folder's names, on the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


@contextmanager
def published(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; what is there at the end takes its place, by one rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield aside
        _sync(aside)
        aside.replace(path)
        _sync(path.parent)
    finally:
        aside.unlink(missing_ok=True)


def write_parquet(tables: Iterator[pa.Table], path: Path) -> int:
    """Write the tables, one row group each, to one Parquet file; returns the number of rows.

    A table is written while the next one is computed.

    Raises:
        OfflineStoreError: when there is no table at all, hence no schema.
    """
    first = next(tables, None)
    if first is None:
        raise OfflineStoreError("there is no table to write")
    rows = int(first.num_rows)
    with pq.ParquetWriter(path, first.schema) as writer, ThreadPoolExecutor(1) as pool:
        writing: Future[None] = pool.submit(writer.write_table, first)
        for table in tables:
            writing.result()
            writing = pool.submit(writer.write_table, table)
            rows += table.num_rows
        writing.result()
    return rows
