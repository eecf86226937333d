"""A Feast offline store on DuckDB's `asof join`: each entity row keeps its place and sees what was known.

Use it alone in any Feast repository:

    offline_store:
      type: feature_repo.stores.asof.AsofOfflineStore
      database: warehouse.duckdb     # only for DuckDBSource; FileSource (Parquet) needs none
      threads: 2
      memory: 2GB

Then `store.get_historical_features(entity_df, features)` takes, beside a DataFrame or SQL, an Arrow table or the
path of Parquet files, and what it returns can `to_parquet(path)`, `to_tables()` and `to_batches()` beside
Feast's own `to_df()`, `to_arrow()` and `persist()`: neither side needs to fit into memory.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, get_args

import duckdb
from feast.data_source import DataSource
from feast.feature_view import DUMMY_ENTITY_ID, FeatureView
from feast.infra.offline_stores.offline_store import OfflineStore
from feast.infra.registry.base_registry import BaseRegistry
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from feast.utils import _get_requested_feature_views_to_features_dict
from feast.value_type import ValueType

from feature_repo.stores import asof_join, entity_rows, latest
from feature_repo.stores.asof_join import Column, ViewJoin
from feature_repo.stores.duckdb_source import relation
from feature_repo.stores.entity_rows import EntityFrame
from feature_repo.stores.retrieval import AsofRetrievalJob, LazyMetadata, TimeRange
from feature_repo.stores.session import OfflineStoreError, one_row, open_session, readable

_SQL_TYPES = {
    ValueType.STRING: "varchar",
    ValueType.INT32: "integer",
    ValueType.INT64: "bigint",
    ValueType.FLOAT: "float",
    ValueType.DOUBLE: "double",
    ValueType.BOOL: "boolean",
}


class AsofOfflineStoreConfig(FeastConfigBaseModel):
    """Configuration of `AsofOfflineStore`."""

    type: str = "feature_repo.stores.asof.AsofOfflineStore"
    """Class of the store."""
    database: str | None = None
    """DuckDB file that DuckDBSource tables live in; opened read-only."""
    threads: int = 2
    """Threads of each retrieval."""
    memory: str = "2GB"
    """DuckDB's memory limit for each retrieval; beyond it, it spills."""
    temp_directory: str | None = None
    """Folder to spill to; default beside the database, else the system's."""
    batch_rows: int = 131_072
    """Rows of each slice of a result."""
    corrections: bool = True
    """Ignore rows created after the entity timestamp; off: the created timestamp only breaks ties."""
    patience_seconds: float = 120.0
    """How long to wait while another process writes the database."""


class AsofOfflineStore(OfflineStore):
    """Point-in-time correct retrieval that keeps the number and the order of the entity rows, always.

    A value counts from its event timestamp (inclusive) and from its created timestamp, where the source has
    one; it expires when it is older than the view's ttl. What is missing, unknown or expired is null.
    """

    supports_filter_by_created_timestamp = True

    @staticmethod
    def get_historical_features(  # noqa: PLR0917 - Feast's signature
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: EntityFrame | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = False,
        **unsupported: Any,
    ) -> AsofRetrievalJob:
        """Join features onto `entity_df`: a DataFrame, an Arrow table, SQL that DuckDB can answer, or Parquet.

        Parquet is the path of a file, a folder (as `Path`) or a pattern; a text that ends in `.parquet` is one.
        Entity timestamps may be naive (UTC) or zoned; the column is `event_timestamp`, or the only one of a
        time type. Moments count in microseconds.

        Raises:
            OfflineStoreError: without entity rows, or for an on-demand view; when read, if a key or the timestamp is
                missing.
        """
        if not isinstance(entity_df, get_args(EntityFrame)):
            raise OfflineStoreError("entity_df must be a DataFrame, an Arrow table, SQL or the path of Parquet files")
        corrections = config.offline_store.corrections or filter_by_created_timestamp
        _refuse_on_demand(feature_refs, feature_views)
        asked, _ = _get_requested_feature_views_to_features_dict(feature_refs, feature_views, [])
        joins = [_view_join(config, view, names, full_feature_names, corrections) for view, names in asked.items()]
        needed = {key.name for join in joins for key in join.keys}

        def query(connection: duckdb.DuckDBPyConnection) -> str:
            entities = entity_rows.load(connection, entity_df, needed)
            asof_join.check_names(entities.columns, joins)
            sources = [replace(join, relation=readable(connection, join.relation)) for join in joins]
            return asof_join.resolve(connection, entities, sources)

        def time_range() -> TimeRange:
            with open_session(config) as connection:
                return entity_rows.time_range(connection, entity_df)

        return AsofRetrievalJob(
            config,
            query,
            full_feature_names=full_feature_names,
            metadata=LazyMetadata(list(feature_refs), sorted(needed), time_range),
        )

    @staticmethod
    def pull_latest_from_table_or_query(  # noqa: PLR0917 - Feast's signature
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> AsofRetrievalJob:
        """The newest row of each key with `start_date <= timestamp <= end_date`, ordered by key."""
        log = latest.Log(
            relation(data_source, config),
            join_key_columns,
            feature_name_columns,
            timestamp_field,
            created_timestamp_column or None,
        )
        corrections = config.offline_store.corrections
        return AsofRetrievalJob(config, latest.latest_rows(log, start_date, end_date, corrections=corrections))

    @staticmethod
    def pull_all_from_table_or_query(  # noqa: PLR0917 - Feast's signature
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> AsofRetrievalJob:
        """Every row with `start_date <= timestamp <= end_date`, either end open when None."""
        columns = [*join_key_columns, *feature_name_columns, timestamp_field, created_timestamp_column or ""]
        wanted = list(filter(None, columns))

        def query(connection: duckdb.DuckDBPyConnection) -> str:
            source = readable(connection, relation(data_source, config))
            return latest.all_sql(source, wanted, timestamp_field, start_date, end_date)

        return AsofRetrievalJob(config, query)

    @staticmethod
    def fingerprints(
        config: RepoConfig, data_source: DataSource, timestamp_field: str, until: list[datetime]
    ) -> list[str]:
        """For each moment, a digest of all rows up to it: equal digests, equal rows in whatever order."""
        with open_session(config) as connection:
            source = readable(connection, relation(data_source, config))
            sql = latest.fingerprint_sql(source, timestamp_field, until)
            return [str(each) for each in one_row(connection, sql)]


def _refuse_on_demand(feature_refs: list[str], feature_views: list[FeatureView]) -> None:
    projections: list[Any] = [view.projection for view in feature_views]
    stored = {each.name_to_use() for each in projections}
    others = sorted({reference.split(":")[0] for reference in feature_refs} - stored)
    if others:
        raise OfflineStoreError(
            f"{', '.join(others)}: this store joins stored feature views; it computes no on-demand view, whose "
            "function would be code in the registry. Ask for the features it takes, and compute it on the result."
        )


def _view_join(
    config: RepoConfig, view: Any, names: list[str], full_feature_names: bool, corrections: bool
) -> ViewJoin:
    source = view.batch_source
    if source is None:
        raise OfflineStoreError(f"feature view {view.name} has no batch source")
    behind = {name: column for column, name in source.field_mapping.items()}
    renamed = view.projection.join_key_map
    types = {field.name: _SQL_TYPES.get(field.dtype.to_value_type()) for field in view.features}
    prefix = f"{view.projection.name_to_use()}__" if full_feature_names else ""
    created = source.created_timestamp_column
    return ViewJoin(
        relation=relation(source, config),
        keys=tuple(
            Column(
                behind.get(key.name, key.name),
                renamed.get(key.name, key.name),
                _SQL_TYPES.get(key.dtype.to_value_type()),
            )
            for key in view.entity_columns
            if key.name != DUMMY_ENTITY_ID
        ),
        features=tuple(Column(behind.get(name, name), prefix + name, types.get(name)) for name in names),
        timestamp=behind.get(source.timestamp_field, source.timestamp_field),
        created=behind.get(created, created) or None,
        ttl_seconds=view.ttl.total_seconds() if isinstance(view.ttl, timedelta) else 0.0,
        corrections=corrections,
    )
