"""Reading the warehouse: one way in, read-only, patient while a writer holds the file."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import duckdb

from ml_assets.config.settings import Settings


class WarehouseError(RuntimeError):
    """The warehouse cannot be read; the message says why and what to do."""


def connect(settings: Settings, patience_seconds: float = 120.0) -> duckdb.DuckDBPyConnection:
    """Open the warehouse read-only, waiting while another process writes it.

    Raises:
        WarehouseError: when there is no warehouse yet, or a writer keeps it longer than `patience_seconds`.
    """
    path = settings.warehouse
    if not path.exists():
        raise WarehouseError(f"no warehouse at {path}: materialize the dbt models first (job `ingest`)")
    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": settings.threads,
        "memory_limit": settings.memory,
        "temp_directory": str(spill(path)),
    }
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            return duckdb.connect(str(path), read_only=True, config=config)
        except duckdb.IOException as error:
            if "lock" not in str(error).lower() or time.monotonic() > deadline:
                raise WarehouseError(f"cannot read the warehouse {path}: {error}") from error
            time.sleep(0.5)


def spill(path: Path) -> Path:
    """Folder DuckDB spills to when a query of the file at `path` outgrows its memory."""
    return path.with_name(f"{path.name}.spill")


def as_of(settings: Settings, patience_seconds: float = 120.0) -> datetime:
    """Midnight after the newest day in the warehouse: "now" for batch predictions and serving.

    Raises:
        WarehouseError: when the warehouse cannot be read (see `connect`), or holds no day.
    """
    with connect(settings, patience_seconds) as connection:
        try:
            found = connection.execute("select max(event_day) from mart_daily_counts").fetchone()
        except duckdb.CatalogException:  # another source came first
            found = None
    if found is None or found[0] is None:
        raise WarehouseError(f"{settings.warehouse} holds no day of events: run the job `ingest` first")
    newest = found[0]
    return datetime(newest.year, newest.month, newest.day) + timedelta(days=1)


def newest_stamp(settings: Settings, tables: Sequence[str]) -> datetime:
    """The newest `event_timestamp` of feature tables: up to then all their rows are there.

    Raises:
        WarehouseError: when the warehouse cannot be read, or a table is not there or empty.
    """
    with connect(settings) as connection:
        there = {name for (name,) in connection.execute("select table_name from duckdb_tables()").fetchall()}
        missing = [table for table in tables if table not in there]
        if missing:
            raise WarehouseError(f"{settings.warehouse} has no table {', '.join(missing)}: ingest its source first")
        found = [connection.execute(f"select max(event_timestamp) from {table}").fetchone() for table in tables]
    stamps = [row[0] for row in found if row and row[0] is not None]
    if not stamps:
        raise WarehouseError(f"{', '.join(tables)}: no rows; ingest some days of their source first")
    newest: datetime = max(stamps)
    return newest


def some_customers(settings: Settings, count: int) -> list[str]:
    """At most `count` active customers, spread over all of them, the same ones each time."""
    with connect(settings) as connection:
        found = connection.execute(
            "select customer_id from mart_active_customers order by hash(customer_id), customer_id limit ?", [count]
        ).fetchall()
    return [customer for (customer,) in found]
