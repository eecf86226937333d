"""DuckDB over the Parquet files of the log: bounded as the warehouse is, whatever columns each file has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from ml_assets.config.settings import Settings
from ml_assets.storage.files import exact_name
from ml_assets.storage.warehouse import spill


def connect(settings: Settings, home: Path) -> duckdb.DuckDBPyConnection:
    """An empty database in memory with the deployment's bounds, that spills beside `home`."""
    return duckdb.connect(
        config={"threads": settings.threads, "memory_limit": settings.memory, "temp_directory": str(spill(home))}
    )


def scan(connection: duckdb.DuckDBPyConnection, files: Sequence[Path], schema: pa.Schema) -> str:
    """SQL for the rows of the files, columns by name; `schema` says what there is when there are no files."""
    if not files:
        empty = f"empty_{abs(hash(schema))}"
        connection.register(empty, schema.empty_table())
        return empty
    listed = ", ".join(_text(path) for path in files)
    return f"read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"


def quote(name: str) -> str:
    """A column's name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def _text(path: Path) -> str:
    return "'" + exact_name(path).replace("'", "''") + "'"
