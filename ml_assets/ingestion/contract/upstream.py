"""What the lake knew on each day: upstream tables that rows are checked against."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import duckdb

from ml_assets.config.ingestion_error import IngestionError
from ml_assets.config.source_spec import SourceSpec, TableSpec
from ml_assets.ingestion.publish import finish_swaps, part
from ml_assets.ingestion.reading.readers import BY_DAY, literal, quote
from ml_assets.storage.files import exact_name


def missing_upstream(table: TableSpec, lake: Path, days: Sequence[date]) -> dict[date, IngestionError]:
    """The days that cannot be checked, as a table that they are checked against lacks them, with what to do."""
    if table.upstream:
        finish_swaps(lake, *table.upstream)
    found: dict[date, IngestionError] = {}
    for upstream in table.upstream:
        for day in days:
            if not part(lake, upstream, day).exists():
                problem = f"{table.name} is checked against {upstream}, whose day {day} is not in the lake"
                remedy = f"ingest {upstream} of {day} first"
                found[day] = IngestionError(problem, file=part(lake, upstream, day), remedy=remedy)
    return found


def load_upstream(
    source: SourceSpec,
    table: TableSpec,
    lake: Path,
    days: Sequence[date],
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """Make temporary tables `known__<column>` (key, first_day) and `reference__<column>` (key, day, value).

    Only days up to the run's last one are read, and a row only ever meets what its own day or an earlier one
    knew, so that the same day gives the same rows whenever and in whatever range it is run.
    """
    for column, address in table.references.items():
        other, _, key = address.partition(".")
        connection.execute(
            f"create or replace temp table {quote(f'known__{column}')} as "
            f"select {quote(key)} as key, min(event_day) as first_day "
            f"from {_partitions(lake, other, days[-1])} group by all"
        )
    for column, rule in table.outliers.items():
        other, _, value = rule.relative_to.partition(".")
        newest = f"arg_max({quote(value)}, ({quote(source.tables[other].time.column)}, {quote(value)}))"
        connection.execute(
            f"create or replace temp table {quote(f'reference__{column}')} as "
            f"select {quote(rule.by)} as key, event_day as day, {newest} as value "
            f"from {_partitions(lake, other, days[-1])} group by all"
        )


def _partitions(lake: Path, table: str, last: date) -> str:
    read = f"read_parquet({literal(exact_name(lake / table) + '/event_day=*/part.parquet')}, {BY_DAY})"
    return f"(from {read} where event_day <= date '{last.isoformat()}')"
