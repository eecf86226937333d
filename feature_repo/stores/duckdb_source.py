"""A table, view or query of a DuckDB warehouse as a Feast data source."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

import duckdb
from feast.data_source import DataSource
from feast.protos.feast.core.DataSource_pb2 import DataSource as DataSourceProto
from feast.repo_config import RepoConfig
from feast.value_type import ValueType

from feature_repo.stores.session import OfflineStoreError, open_session, parquet

CLASS = "feature_repo.stores.duckdb_source.DuckDBSource"
TABLE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*){0,2}")
"""The name of a table, with or without its schema and database."""

_VALUE_TYPES = {
    "VARCHAR": ValueType.STRING,
    "BOOLEAN": ValueType.BOOL,
    "TINYINT": ValueType.INT32,
    "SMALLINT": ValueType.INT32,
    "INTEGER": ValueType.INT32,
    "BIGINT": ValueType.INT64,
    "HUGEINT": ValueType.INT64,
    "UTINYINT": ValueType.INT32,
    "USMALLINT": ValueType.INT32,
    "UINTEGER": ValueType.INT64,
    "FLOAT": ValueType.FLOAT,
    "DOUBLE": ValueType.DOUBLE,
    "BLOB": ValueType.BYTES,
    "DATE": ValueType.UNIX_TIMESTAMP,
    "TIMESTAMP": ValueType.UNIX_TIMESTAMP,
    "TIMESTAMP_S": ValueType.UNIX_TIMESTAMP,
    "TIMESTAMP_MS": ValueType.UNIX_TIMESTAMP,
    "TIMESTAMP_NS": ValueType.UNIX_TIMESTAMP,
    "TIMESTAMP WITH TIME ZONE": ValueType.UNIX_TIMESTAMP,
}


def _selects(query: str) -> bool:
    """Whether it is a single statement that only reads: it comes from the registry too, and is part of larger ones."""
    try:
        statements = duckdb.extract_statements(query)
    except duckdb.Error:
        return False
    return [statement.type for statement in statements] == [duckdb.StatementType.SELECT]


def duckdb_to_feast_value_type(column_type: str) -> ValueType:
    """Feast's name for a DuckDB column type (a decimal counts as double)."""
    if column_type.startswith("DECIMAL"):
        return ValueType.DOUBLE
    return _VALUE_TYPES.get(column_type, ValueType.UNKNOWN)


class DuckDBSource(DataSource):
    """Rows of a DuckDB table or query; the database file is the offline store's `database`, opened read-only.

    Either `table` (may be schema-qualified) or `query` is given. The definition names no file, so the same
    definition serves every deployment.
    """

    def __init__(
        self,
        *,
        table: str | None = None,
        query: str | None = None,
        name: str | None = None,
        timestamp_field: str = "event_timestamp",
        created_timestamp_column: str | None = None,
        field_mapping: dict[str, str] | None = None,
        description: str = "",
        tags: dict[str, str] | None = None,
        owner: str = "",
    ) -> None:
        if bool(table) == bool(query):
            raise ValueError(f"DuckDBSource {name or table or ''!r}: give either table= or query=, not both")
        if not (name or table):
            raise ValueError("DuckDBSource: a query needs a name=")
        if table and not TABLE.fullmatch(table):
            raise ValueError(f"DuckDBSource {name or ''!r}: table={table!r} is not the name of a table")
        if query and not _selects(query):
            raise ValueError(f"DuckDBSource {name!r}: query= is not one select statement: {query!r}")
        self.table = table or ""
        self.query = query or ""
        super().__init__(
            name=name or table or "",
            timestamp_field=timestamp_field,
            created_timestamp_column=created_timestamp_column,
            field_mapping=field_mapping,
            description=description,
            tags=tags,
            owner=owner,
        )

    def __hash__(self) -> int:
        return hash((self.name, self.timestamp_field))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, DuckDBSource)
            and bool(super().__eq__(other))  # type: ignore[no-untyped-call]  # Feast leaves it untyped
            and (self.table, self.query) == (other.table, other.query)
        )

    def source_type(self) -> Any:
        """Feast's enum value for sources it does not know itself."""
        return DataSourceProto.CUSTOM_SOURCE

    @staticmethod
    def from_proto(data_source: Any) -> DuckDBSource:
        """Rebuild the source from the registry."""
        options = json.loads(data_source.custom_options.configuration)
        return DuckDBSource(
            name=data_source.name,
            table=options["table"] or None,
            query=options["query"] or None,
            timestamp_field=data_source.timestamp_field,
            created_timestamp_column=data_source.created_timestamp_column or None,
            field_mapping=dict(data_source.field_mapping),
            description=data_source.description,
            tags=dict(data_source.tags),
            owner=data_source.owner,
        )

    def _to_proto_impl(self) -> Any:
        options = json.dumps({"table": self.table, "query": self.query}).encode()
        return DataSourceProto(
            name=self.name,
            type=DataSourceProto.CUSTOM_SOURCE,
            data_source_class_type=CLASS,
            field_mapping=self.field_mapping,
            custom_options=DataSourceProto.CustomSourceOptions(configuration=options),
            timestamp_field=self.timestamp_field,
            created_timestamp_column=self.created_timestamp_column,
            description=self.description,
            tags=self.tags,
            owner=self.owner,
        )

    def get_table_query_string(self) -> str:
        """What stands after `from`: the table's name, or the query in parentheses."""
        return self.table or f"({self.query})"

    def get_table_column_names_and_types(self, config: RepoConfig) -> Iterable[tuple[str, str]]:
        """Names and DuckDB types of the columns, in table order."""
        with open_session(config) as connection:
            described = connection.execute(f"describe select * from {relation(self, config)}").fetchall()
        return [(row[0], row[1]) for row in described]

    def validate(self, config: RepoConfig) -> None:
        """Check that the table exists and has the timestamp columns.

        Raises:
            ValueError: naming the missing column and the columns there are.
        """
        columns = [name for name, _ in self.get_table_column_names_and_types(config)]
        for wanted in filter(None, (self.timestamp_field, self.created_timestamp_column)):
            if wanted not in columns:
                raise ValueError(f"DuckDBSource {self.name}: no column {wanted!r}; there are {', '.join(columns)}")

    @staticmethod
    def source_datatype_to_feast_value_type() -> Callable[[str], ValueType]:
        """The function that maps DuckDB column types to Feast's."""
        return duckdb_to_feast_value_type


def relation(source: Any, config: Any) -> str:
    """What stands after `from` in SQL for a DuckDBSource or a FileSource of Parquet.

    Raises:
        OfflineStoreError: for any other source, or a file that is not Parquet.
    """
    from feast.data_format import ParquetFormat
    from feast.infra.offline_stores.file_source import FileSource

    if isinstance(source, DuckDBSource):
        if not config.offline_store.database:
            raise OfflineStoreError(f"source {source.name} needs `database:` in the offline store's configuration")
        return source.get_table_query_string()
    if isinstance(source, FileSource):
        if source.file_format is not None and not isinstance(source.file_format, ParquetFormat):
            raise OfflineStoreError(f"source {source.name}: only Parquet files are read, not {source.file_format}")
        return parquet(FileSource.get_uri_for_file_path(config.repo_path, source.path))
    raise OfflineStoreError(
        f"source {getattr(source, 'name', source)} is a {type(source).__name__}: "
        "this store reads DuckDBSource and FileSource"
    )
