"""A Feast offline store on DuckDB's `asof join`: each entity row keeps its place and sees what was known.

Use it alone in any Feast repository:

    offline_store:
      type: feature_repo.stores.asof.AsofOfflineStore
      database: warehouse.duckdb     # only for DuckDBSource; FileSource (Parquet) needs none
      threads: 2
      memory: 2GB
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
from feast.data_source import DataSource
from feast.feature_view import DUMMY_ENTITY_ID, FeatureView
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalMetadata
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from feast.utils import _get_requested_feature_views_to_features_dict
from feast.value_type import ValueType

from feature_repo.stores import asof_join, latest
from feature_repo.stores.asof_join import Column, ViewJoin
from feature_repo.stores.retrieval import AsofRetrievalJob
from feature_repo.stores.session import OfflineStoreError, one_row, open_session, readable, relation

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
        entity_df: pd.DataFrame | str | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = False,
        **unsupported: Any,
    ) -> AsofRetrievalJob:
        """Join features onto `entity_df`: a DataFrame, or SQL that DuckDB can answer.

        Entity timestamps may be naive (UTC) or zoned; the column is `event_timestamp`, or the only one of a
        time type.

        Raises:
            OfflineStoreError: without entity rows, or when a key, timestamp or request column is missing.
        """
        if entity_df is None:
            raise OfflineStoreError("get_historical_features needs entity_df: a DataFrame or a SQL query")
        corrections = config.offline_store.corrections or filter_by_created_timestamp
        on_demand = OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry)
        asked, _ = _get_requested_feature_views_to_features_dict(feature_refs, feature_views, on_demand)
        joins = [_view_join(config, view, names, full_feature_names, corrections) for view, names in asked.items()]
        needed = {key.name for join in joins for key in join.keys}
        request = {name for view in on_demand for name in view.get_request_data_schema()}

        def tables(connection: duckdb.DuckDBPyConnection) -> Iterator[pa.Table]:
            query = entity_df
            if isinstance(entity_df, pd.DataFrame):
                connection.register("entity_frame", pa.Table.from_pandas(entity_df, preserve_index=False))
                query = "select * from entity_frame"
            entities = readable(connection, f"({query})")
            columns, timestamp = _describe_entities(connection, entities, needed | request)
            asof_join.check_names(columns, joins)
            rows = asof_join.load_entities(connection, entities, timestamp)
            sources = [replace(join, relation=readable(connection, join.relation)) for join in joins]
            asof_join.resolve(connection, sources)
            sql, step = asof_join.slice_sql(columns, joins), config.offline_store.batch_rows
            for start in range(0, max(rows, 1), step):
                yield connection.sql(sql, params=[start, start + step]).to_arrow_table()

        return AsofRetrievalJob(
            config,
            tables,
            full_feature_names=full_feature_names,
            on_demand_feature_views=on_demand,
            metadata=RetrievalMetadata(features=list(feature_refs), keys=sorted(needed | request)),
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
        store = config.offline_store
        rows = latest.latest_rows(log, start_date, end_date, store.batch_rows, corrections=store.corrections)
        return AsofRetrievalJob(config, rows)

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

        def tables(connection: duckdb.DuckDBPyConnection) -> Iterator[pa.Table]:
            source = readable(connection, relation(data_source, config))
            sql = latest.all_sql(source, wanted, timestamp_field, start_date, end_date)
            yield from latest.streamed(sql, config.offline_store.batch_rows)(connection)

        return AsofRetrievalJob(config, tables)

    @staticmethod
    def fingerprints(
        config: RepoConfig, data_source: DataSource, timestamp_field: str, until: list[datetime]
    ) -> list[str]:
        """For each moment, a digest of all rows up to it: equal digests, equal rows in whatever order."""
        with open_session(config) as connection:
            source = readable(connection, relation(data_source, config))
            sql = latest.fingerprint_sql(source, timestamp_field, until)
            return [str(each) for each in one_row(connection, sql)]


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


def _describe_entities(connection: duckdb.DuckDBPyConnection, entities: str, needed: set[str]) -> tuple[list[str], str]:
    """Columns of the entity rows and which of them is the entity timestamp."""
    types = {row[0]: row[1] for row in connection.execute(f"describe select * from {entities}").fetchall()}
    missing = sorted(needed - set(types))
    if missing:
        raise OfflineStoreError(
            f"the entity rows lack {', '.join(missing)}: the views and on-demand views asked for need them; "
            f"there are {', '.join(types)}"
        )
    if "event_timestamp" in types:
        return list(types), "event_timestamp"
    times = [name for name, type_name in types.items() if type_name.startswith(("TIMESTAMP", "DATE"))]
    if len(times) != 1:
        raise OfflineStoreError(
            f"the entity rows need a column event_timestamp, or exactly one of a time type; found {times or 'none'}"
        )
    return list(types), times[0]
