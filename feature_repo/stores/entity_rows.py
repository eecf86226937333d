"""The entity rows of a retrieval: a DataFrame, an Arrow table, Parquet files or SQL, numbered in their order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

import duckdb
import pandas as pd
import pyarrow as pa

from feature_repo.stores.session import OfflineStoreError, moment, one_row, parquet, quote, readable

EVENT_TIMESTAMP = "event_timestamp"
EntityFrame: TypeAlias = pd.DataFrame | pa.Table | Path | str
"""Rows as they are, the path of Parquet files (a text that ends in .parquet is one), or SQL."""


@dataclass(frozen=True)
class EntityRows:
    """What the temporary table `entities` holds: columns `c0`, `c1`, ... and the `moment` each row asks for.

    The `rowid` of a row there is its place among the entity rows.

    Attributes:
        columns: names of the columns as given.
        timestamp: the one of them that is the entity timestamp.
        rows: how many rows there are.
        first: earliest moment, naive UTC; None when there is none.
        last: latest moment.
    """

    columns: tuple[str, ...]
    timestamp: str
    rows: int
    first: datetime | None
    last: datetime | None

    def column(self, name: str) -> str:
        """The column of `entities` that holds the entity rows' column `name`."""
        return f"c{self.columns.index(name)}"


def load(connection: duckdb.DuckDBPyConnection, given: EntityFrame, needed: set[str]) -> EntityRows:
    """Copy the entity rows into the temporary table `entities`, in the order they come.

    Raises:
        OfflineStoreError: when a column of `needed` or the entity timestamp is missing, or there is no file.
    """
    relation = _relation(connection, given)
    types = _types(connection, relation)
    missing = sorted(needed - set(types))
    if missing:
        raise OfflineStoreError(
            f"the entity rows lack {', '.join(missing)}: the views asked for need them; there are {', '.join(types)}"
        )
    timestamp = _timestamp(types)
    kept = "".join(f"{quote(name)} as c{at}, " for at, name in enumerate(types))
    connection.execute(
        f"create temp table entities as select {kept}{moment(quote(timestamp))} as moment from {relation} as given"
    )
    rows, first, last = one_row(connection, "select count(*), min(moment), max(moment) from entities")
    return EntityRows(tuple(types), timestamp, rows, first, last)


def time_range(connection: duckdb.DuckDBPyConnection, given: EntityFrame) -> tuple[datetime | None, datetime | None]:
    """The earliest and the latest moment of the entity rows, naive UTC.

    Raises:
        OfflineStoreError: as in `load`.
    """
    relation = _relation(connection, given)
    when = moment(quote(_timestamp(_types(connection, relation))))
    first, last = one_row(connection, f"select min({when}), max({when}) from {relation} as given")
    return first, last


def _relation(connection: duckdb.DuckDBPyConnection, given: EntityFrame) -> str:
    if isinstance(given, pd.DataFrame):
        given = pa.Table.from_pandas(given, preserve_index=False)
    if isinstance(given, pa.Table):
        connection.register("entity_frame", given)
        return readable(connection, "entity_frame")
    if isinstance(given, Path) or given.endswith(".parquet"):
        return readable(connection, parquet(given))
    return readable(connection, f"({given.rstrip().rstrip(';')}\n)")


def _types(connection: duckdb.DuckDBPyConnection, relation: str) -> dict[str, str]:
    described = connection.execute(f"describe select * from {relation}").fetchall()
    return {row[0]: row[1] for row in described}


def _timestamp(types: dict[str, str]) -> str:
    """The entity timestamp: `event_timestamp`, or the only column of a time type."""
    if EVENT_TIMESTAMP in types:
        return EVENT_TIMESTAMP
    times = [name for name, type_name in types.items() if type_name.startswith(("TIMESTAMP", "DATE"))]
    if len(times) != 1:
        raise OfflineStoreError(
            f"the entity rows need a column event_timestamp, or exactly one of a time type; found {times or 'none'}"
        )
    return times[0]
