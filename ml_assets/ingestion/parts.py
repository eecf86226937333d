"""Writing the parts of each day: sorted rows, one Parquet file a day, the same bytes for the same rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from itertools import chain

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml_assets.config.source_spec import SqlType, TableSpec
from ml_assets.ingestion.publish import Stage
from ml_assets.ingestion.reading.readers import quote

ARROW: dict[SqlType, pa.DataType] = {
    "VARCHAR": pa.string(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "TIMESTAMP": pa.timestamp("us"),
    "DATE": pa.date32(),
}
QUARANTINE = pa.schema(
    [
        ("reason", pa.string()),
        ("reasons", pa.list_(pa.string())),
        ("source", pa.string()),
        ("line", pa.int64()),
        ("raw", pa.string()),
    ]
)
BATCH_ROWS = 100_000
ROW_GROUP = 250_000


def schema_of(table: TableSpec) -> pa.Schema:
    """The schema of a table's good parts; `event_day` is in the path, not in the file."""
    return pa.schema([(name, ARROW[column.type]) for name, column in table.columns.items()])


def write_good(table: TableSpec, days: Sequence[date], stage: Stage, connection: duckdb.DuckDBPyConnection) -> None:
    """Write the good rows of the temporary table `checked`, sorted by time and key, which is unique."""
    columns = ", ".join(quote(name) for name in table.columns)
    order = ", ".join(quote(name) for name in dict.fromkeys((table.time.column, *table.key)))
    sql = f"select _day, {columns} from checked where _reasons is null order by _day, {order}"
    _write(connection.sql(sql), table.name, schema_of(table), days, stage)


def write_quarantine(
    table: TableSpec, days: Sequence[date], stage: Stage, connection: duckdb.DuckDBPyConnection
) -> None:
    """Write the bad rows of `checked` with reasons, source, line and raw row as JSON, in their files' order."""
    raw = (
        "case when _line is not null then json_object('line', _line) "
        "when _json is not null then json(_json) else to_json(_raw) end::varchar"
    )
    sql = (
        f"select _day, _reasons[1] as reason, _reasons as reasons, _source as source, _at as line, {raw} as raw "
        "from checked where _reasons is not null order by _day, _source, _row, raw"
    )
    _write(connection.sql(sql), f"{table.name}_quarantine", QUARANTINE, days, stage)


def _write(rows: duckdb.DuckDBPyRelation, name: str, schema: pa.Schema, days: Sequence[date], stage: Stage) -> None:
    reader = rows.to_arrow_reader(BATCH_ROWS)
    pieces = _by_day(reader)
    ahead = next(pieces, None)
    for day in days:
        held: list[pa.Table] = []
        while ahead is not None and ahead[0] == day:
            held.append(ahead[1])
            ahead = next(pieces, None)
        # one contiguous chunk per column, so that the bytes do not depend on how DuckDB cut its batches
        table = pa.concat_tables(held).cast(schema).combine_chunks() if held else schema.empty_table()
        pq.write_table(table, stage.aside(name, day), compression="zstd", row_group_size=ROW_GROUP)
    if ahead is not None:
        raise RuntimeError(f"rows of {ahead[0]} while writing {name} of {days[0]} to {days[-1]}: not sorted by day")


def _by_day(batches: pa.RecordBatchReader) -> Iterator[tuple[date, pa.Table]]:
    """Cut batches that are sorted by `_day` where the day changes."""
    for batch in batches:
        if batch.num_rows == 0:
            continue
        day_column = batch.column("_day")
        changes = pc.indices_nonzero(pc.not_equal(day_column.slice(1), day_column.slice(0, len(batch) - 1)))
        starts = [0, *(index + 1 for index in changes.to_pylist())]
        rows = pa.Table.from_batches([batch]).drop_columns(["_day"])
        for start, stop in zip(starts, chain(starts[1:], [len(batch)]), strict=True):
            yield day_column[start].as_py(), rows.slice(start, stop - start)
