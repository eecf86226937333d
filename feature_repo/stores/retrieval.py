"""What the offline store hands out: a query not yet run, readable whole or in record batches."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
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

from feature_repo.stores.session import OfflineStoreError, open_session

Tables = Callable[[duckdb.DuckDBPyConnection], Iterator[pa.Table]]
"""Runs a query on a session and yields its result in slices, in order; at least one, if only an empty one."""


class AsofRetrievalJob(RetrievalJob):
    """A retrieval that runs when it is read; each reading runs it anew, in a session of its own."""

    def __init__(
        self,
        config: RepoConfig,
        tables: Tables,
        *,
        full_feature_names: bool = False,
        on_demand_feature_views: list[Any] | None = None,
        metadata: RetrievalMetadata | None = None,
    ) -> None:
        self._config = config
        self._tables = tables
        self._full_feature_names = full_feature_names
        self._on_demand_feature_views = on_demand_feature_views or []
        self._metadata = metadata

    @property
    def full_feature_names(self) -> bool:
        """Whether features go out as `<view>__<feature>`."""
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[Any]:
        """The on-demand views computed on top."""
        return self._on_demand_feature_views

    @property
    def metadata(self) -> RetrievalMetadata | None:
        """The features and keys asked for."""
        return self._metadata

    def to_tables(self) -> Iterator[pa.Table]:
        """Yield the result in order, in tables of at most `batch_rows` rows, on-demand features included.

        Memory is bounded by one slice plus DuckDB's limit, whatever the number of rows.
        """
        with open_session(self._config) as connection:
            for table in self._tables(connection):
                yield self._with_on_demand(table)

    def to_batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the result in order as record batches."""
        for table in self.to_tables():
            yield from table.to_batches()

    def to_arrow(self, validation_reference: Any = None, timeout: int | None = None) -> pa.Table:
        """The whole result as one table; see `to_tables` for results that need not fit into memory."""
        if validation_reference is not None:
            return super().to_arrow(validation_reference=validation_reference, timeout=timeout)
        return pa.concat_tables(self.to_tables())

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        with open_session(self._config) as connection:
            return pa.concat_tables(self._tables(connection))

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        frame: pd.DataFrame = self._to_arrow_internal(timeout).to_pandas()
        return frame

    def persist(self, storage: SavedDatasetStorage, allow_overwrite: bool = False, timeout: int | None = None) -> None:
        """Write the result to a Parquet file, slice by slice, published by one rename.

        Raises:
            OfflineStoreError: when the storage is no file, or the file exists and may not be overwritten.
        """
        if not isinstance(storage, SavedDatasetFileStorage):
            raise OfflineStoreError(f"can persist to SavedDatasetFileStorage, not to {type(storage).__name__}")
        path = Path(FileSource.get_uri_for_file_path(self._config.repo_path, storage.file_options.uri))
        if path.exists() and not allow_overwrite:
            raise OfflineStoreError(f"{path} exists: pass allow_overwrite=True to replace it")
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
        try:
            write_parquet(self.to_tables(), aside)
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)

    def _with_on_demand(self, table: pa.Table) -> pa.Table:
        asked = self._asked_on_demand()
        for view in self._on_demand_feature_views:
            inputs = table.select([name for name in table.column_names if name in self._inputs_of(view)])
            computed = view.transform_arrow(inputs, self._full_feature_names)
            for name in computed.column_names:
                if not name.startswith("__index") and (asked is None or name in asked):
                    table = table.append_column(name, computed[name])
        return table

    def _inputs_of(self, view: Any) -> set[str]:
        """Columns an on-demand view may read, by either name: computing on fewer columns is faster."""
        projected = [
            (projection.name, feature.name)
            for projection in view.source_feature_view_projections.values()
            for feature in projection.features
        ]
        full = {f"{view_name}__{feature}" for view_name, feature in projected}
        return full | {feature for _, feature in projected} | set(view.get_request_data_schema())

    def _asked_on_demand(self) -> set[str] | None:
        """Output columns of on-demand views that were asked for; None when everything was."""
        if self._metadata is None:
            return None
        parts = [reference.split(":", 1) for reference in self._metadata.features if ":" in reference]
        return {f"{view}__{name}" if self._full_feature_names else name for view, name in parts}


def write_parquet(tables: Iterator[pa.Table], path: Path) -> int:
    """Write the tables, one row group each, to one Parquet file; returns the number of rows.

    Raises:
        OfflineStoreError: when there is no table at all, hence no schema.
    """
    writer: pq.ParquetWriter | None = None
    rows = 0
    try:
        for table in tables:
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
            rows += table.num_rows
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        raise OfflineStoreError("there is no table to write")
    return rows
