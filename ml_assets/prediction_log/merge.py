"""The parts of a day as its tables: each answer once, with outcomes, sorted, in bounded pieces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import groupby
from pathlib import Path

import duckdb
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.prediction_log.kinds import DayKind, kind_of
from ml_assets.prediction_log.outcomes import KEPT
from ml_assets.prediction_log.partitions import Kind, parts_home, rows_in, select, walk_parts
from ml_assets.prediction_log.reading import quote, scan
from ml_assets.prediction_log.records import RESERVED
from ml_assets.prediction_log.tables import WHERE

INPUTS = "inputs.json"
"""Beside the tables: the files of answers that they were made from, relative to the folder of the parts."""

BATCH_ROWS = 50_000
ROW_GROUP = 100_000

_PREDICTIONS = "select {columns} from {files} semi join kept using (segment, line) order by time, prediction_id"
_REFUSALS = "select {columns} from {files} order by all"


@dataclass(frozen=True)
class Merged:
    """What was written of a day: rows of each table, and lines of the same answer that were left out."""

    predictions: int
    shown: int
    refusals: int
    duplicates: int


def merge_day(
    connection: duckdb.DuckDBPyConnection, settings: Settings, spec: ModelSpec, day: date, folder: Path
) -> Merged:
    """Write the day's tables into `folder`: the same bytes for the same rows and outcomes, however they arrived.

    Raises:
        ml_assets.storage.warehouse.WarehouseError: when outcomes are to come from events that cannot be read.
    """
    home, start, kind = parts_home(settings, spec.name), datetime.combine(day, time()), kind_of(spec)
    every = walk_parts(home)
    files = {each: select(every, each, start, start + timedelta(days=1)) for each in kind.tables}
    answers, refusals = kind.tables[Kind.PREDICTIONS], kind.tables[Kind.REFUSALS]
    lines = scan(connection, files[Kind.PREDICTIONS], pa.schema([*WHERE, *answers]))
    connection.execute(f"create temp table kept as {KEPT.format(predictions=lines)}")
    if files[Kind.SHOWN]:
        kind.find(connection, settings, spec, day, every)
    schema = pa.schema([*kind.tables[Kind.SHOWN], *((name, pa.float32()) for name in _features(files[Kind.SHOWN]))])
    tables = {
        Kind.PREDICTIONS: (answers, _query(connection, _PREDICTIONS, answers, files[Kind.PREDICTIONS])),
        Kind.SHOWN: (schema, _shown(connection, kind, schema, files[Kind.SHOWN])),
        Kind.REFUSALS: (refusals, _query(connection, _REFUSALS, refusals, files[Kind.REFUSALS])),
    }
    written = {each: _write(folder / f"{each}.parquet", *table) for each, table in tables.items()}
    inputs = [path.relative_to(home).as_posix() for path in files[Kind.PREDICTIONS]]
    (folder / INPUTS).write_bytes(orjson.dumps(inputs, option=orjson.OPT_INDENT_2))
    logged = sum(rows_in(path) for path in files[Kind.PREDICTIONS])
    kept = written[Kind.PREDICTIONS]
    return Merged(kept, written[Kind.SHOWN], written[Kind.REFUSALS], duplicates=logged - kept)


def late_parts(home: Path, folder: Path, today: Sequence[Path]) -> set[Path]:
    """Those of a day's files of answers that its tables in `folder`, if there are any, were not made from."""
    return set(today) - {home / name for name in inputs_of(folder)}


def inputs_of(folder: Path) -> list[str]:
    """The files of answers that the tables in `folder` were made from; none where there are no tables."""
    inputs = folder / INPUTS
    return list(orjson.loads(inputs.read_bytes())) if inputs.exists() else []


def _query(
    connection: duckdb.DuckDBPyConnection, sql: str, schema: pa.Schema, files: Sequence[Path]
) -> Iterator[pa.Table]:
    if files:
        columns = ", ".join(quote(name) for name in schema.names)
        source = scan(connection, files, schema)
        yield from _batches(connection.sql(sql.format(columns=columns, files=source)), schema)


def _shown(
    connection: duckdb.DuckDBPyConnection, kind: DayKind, schema: pa.Schema, files: Sequence[Path]
) -> Iterator[pa.Table]:
    """Hour by hour, so that only an hour has to be sorted at once."""
    columns = ", ".join(f"shown.{name}" for name in kind.layout.rows.names)
    for _, found in groupby(files, key=lambda path: path.stem):
        hour = list(found)
        features = "".join(f", shown.{quote(name)}" for name in _features(hour))
        files_of_hour = scan(connection, hour, kind.layout.rows)
        sql = kind.sql.format(columns=columns, features=features, files=files_of_hour)
        yield from _batches(connection.sql(sql), schema)


def _batches(rows: duckdb.DuckDBPyRelation, schema: pa.Schema) -> Iterator[pa.Table]:
    """Rows with the columns of `schema`; those they do not have are null."""
    for batch in rows.to_arrow_reader(BATCH_ROWS):
        columns = [
            batch[name].cast(kind) if name in batch.schema.names else pa.nulls(len(batch), kind)
            for name, kind in zip(schema.names, schema.types, strict=True)
        ]
        yield pa.table(columns, schema=schema)


def _features(files: Sequence[Path]) -> list[str]:
    """Names of the features in any of the files, sorted."""
    names = {name for path in files for name in pq.read_schema(path).names}
    return sorted(names - RESERVED)


def _write(path: Path, schema: pa.Schema, tables: Iterator[pa.Table]) -> int:
    """Write row groups of equal size: the bytes do not depend on how the rows were cut before. Returns the rows."""
    texts = [field.name for field in schema if not pa.types.is_floating(field.type)]
    rows, held = 0, schema.empty_table()
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=texts) as writer:
        for table in tables:
            held = pa.concat_tables([held, table])
            rows += len(table)
            while len(held) >= ROW_GROUP:
                writer.write_table(held.slice(0, ROW_GROUP).combine_chunks(), row_group_size=ROW_GROUP)
                held = held.slice(ROW_GROUP)
        writer.write_table(held.combine_chunks(), row_group_size=ROW_GROUP)
    return rows
