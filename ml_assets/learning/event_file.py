"""A file of events as the point-in-time join takes it; a row that the service would refuse is set aside with why."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml_assets.files import replace_file
from ml_assets.ingestion.errors import IngestionError
from ml_assets.ingestion.readers import copy_csv, literal, quote
from ml_assets.learning.decisions import EVENT_TIMESTAMP, NOW
from ml_assets.learning.labelled import REQUEST
from ml_assets.learning.scored_file import UnfitFrameError, is_number
from ml_assets.learning.scoring import PIECE
from ml_assets.learning.spec import ModelSpec
from serving.schemas import FIRST_YEAR, LAST_YEAR, MAX_ID

ID = "event__id"
"""The event's id, whatever the model calls it: that name may be a join key's too."""
REJECTED = pa.schema([("row", pa.int64()), (ID, pa.string()), ("reason", pa.string()), ("raw", pa.string())])


@dataclass(frozen=True)
class EventColumns:
    """What a file of events holds: each column's name, and whether every row says its time."""

    entity: str
    keys: tuple[str, ...]
    request: tuple[str, ...]
    time: str | None


def columns_of(spec: ModelSpec, keys: tuple[str, ...], file: Path) -> EventColumns:
    """The columns that events of the model have in this file, once it is known to be fit.

    Raises:
        FileNotFoundError: when there is no such file.
        UnfitFrameError: when it is neither Parquet nor CSV, lacks a column, or one has a type that cannot be meant.
    """
    if not file.exists():
        raise FileNotFoundError(f"no file {file}")
    schema = _schema(file)
    found = EventColumns(spec.entity, keys, spec.request, spec.time if spec.time in schema.names else None)
    wanted = dict.fromkeys([spec.entity, *keys, *spec.request])
    if missing := [name for name in wanted if name not in schema.names]:
        raise UnfitFrameError(f"{file}: lacks columns of an event of {spec.name}: {', '.join(missing)}")
    if not _is_csv(file):
        _check_types(file, schema, found)
    return found


def write_entities(file: Path, columns: EventColumns, moment: datetime | None, entities: Path, rejected: Path) -> None:
    """Write the fit rows as entity rows, in their order, and the others with their number and the reason.

    Memory is bounded, however many rows there are.

    Args:
        file: Parquet, or CSV with a header; missing is null or NaN, in CSV nothing.
        columns: what is read of it.
        moment: when all events are asked (UTC, naive), where the file has no time.
        entities: takes `event__id`, the keys as texts, `event_timestamp`, `now`, and `request__<name>`, float64.
        rejected: takes the others: `row` (from 1; null for a line that is no row), id, `reason`, `raw` (JSON or line).

    Raises:
        UnfitFrameError: when the file breaks off, or cannot be read to its end.
    """
    raw = _as_parquet(file, entities.with_name("as_text.parquet"))
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("set timezone = 'UTC'")
        stream = _stream(file, connection, _sql(raw, columns, moment, text=raw != file))
        fit = [name for name in stream.schema.names if name not in {"row", "reason", "raw"}]
        kept = pa.schema([stream.schema.field(name) for name in fit])
        with (
            replace_file(entities) as good_file,  # published last: once it is there, both are
            replace_file(rejected) as bad_file,
            pq.ParquetWriter(good_file, kept) as good,
            pq.ParquetWriter(bad_file, REJECTED) as bad,
        ):
            for batch in _batches(file, stream):
                well = pc.is_null(batch["reason"])
                good.write_table(batch.filter(well).select(fit))
                if not pc.all(well).as_py():
                    bad.write_table(batch.filter(pc.invert(well)).select(REJECTED.names).cast(REJECTED))


def _stream(file: Path, connection: duckdb.DuckDBPyConnection, sql: str) -> pa.RecordBatchReader:
    try:
        return connection.sql(sql).to_arrow_reader(PIECE)
    except duckdb.Error as error:
        raise UnfitFrameError(f"{file}: cannot be read ({error})") from error


def _batches(file: Path, stream: pa.RecordBatchReader) -> Iterator[pa.Table]:
    try:
        for batch in stream:
            yield pa.Table.from_batches([batch])
    except (duckdb.Error, pa.ArrowException) as error:
        raise UnfitFrameError(f"{file}: cannot be read to its end ({error})") from error


def _is_csv(file: Path) -> bool:
    return file.suffix.lower() == ".csv"


def _schema(file: Path) -> pa.Schema:
    try:
        if not _is_csv(file):
            return pq.read_schema(file)
        with file.open(encoding="utf-8-sig", newline="") as opened:
            header = next(csv.reader(opened), [])
        return pa.schema([(name.strip(), pa.string()) for name in header])
    except (pa.ArrowInvalid, UnicodeDecodeError, csv.Error) as error:
        raise UnfitFrameError(f"{file}: no {'CSV' if _is_csv(file) else 'Parquet'} file ({error})") from None


def _check_types(file: Path, schema: pa.Schema, columns: EventColumns) -> None:
    kinds = {name: schema.field(name).type for name in schema.names}
    wrong = [
        *(f"{name} ({kinds[name]}): a number is asked" for name in columns.request if not is_number(kinds[name])),
        *(
            f"{name} ({kinds[name]}): a text or whole number is asked"
            for name in dict.fromkeys([columns.entity, *columns.keys])
            if not _is_name(kinds[name])
        ),
    ]
    if columns.time and not _is_moment(kinds[columns.time]):
        wrong.append(f"{columns.time} ({kinds[columns.time]}): a time is asked")
    if wrong:
        raise UnfitFrameError(f"{file}: columns of another type: {'; '.join(wrong)}")


def _is_name(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_name(kind.value_type)
    return bool(_is_text(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind))


def _is_moment(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind) or _is_text(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _as_parquet(file: Path, copy: Path) -> Path:
    if not _is_csv(file):
        return file
    try:
        copy_csv(file, copy)
    except IngestionError as error:
        raise UnfitFrameError(f"{file}: {error.problem}") from None
    except (pa.ArrowException, UnicodeDecodeError, csv.Error) as error:
        raise UnfitFrameError(f"{file}: no CSV file ({error})") from None
    return copy


def _sql(raw: Path, columns: EventColumns, moment: datetime | None, *, text: bool) -> str:
    """SQL for every row: what the join takes, and why it is not to."""
    read = f"read_parquet({literal(raw)}, file_row_number = true)"
    names = dict.fromkeys([columns.entity, *columns.keys, *columns.request, *([columns.time] if columns.time else [])])
    said = ", ".join(f"{literal(name)}: {quote(name)}" for name in names)
    time = f"try_cast({quote(columns.time)} as timestamptz)::timestamp" if columns.time else f"timestamp '{moment}'"
    reasons = ["case when _line is not null then 'no row: another number of fields' end"] if text else []
    reasons += [_unnamed(columns.entity, must=True)] + [
        _unnamed(key, must=False) for key in columns.keys if key != columns.entity
    ]
    reasons += [_no_number(name) for name in columns.request]
    reasons += _no_time(columns.time, time) if columns.time else []
    line = "_line is not null" if text else "false"
    chosen = [
        f"case when not {line} then file_row_number + 1 end as row",
        f"coalesce({', '.join(reasons)}) as reason",
        f"{'coalesce(_line, ' if text else '('}to_json({{{said}}})::varchar) as raw",
        f"{quote(columns.entity)}::varchar as {ID}",
        *(f"{quote(key)}::varchar as {quote(key)}" for key in columns.keys),
        f"{time} as {EVENT_TIMESTAMP}",
        f"epoch({time}) as {NOW}",
        *(f"{_number(name)} as {quote(REQUEST + name)}" for name in columns.request),
    ]
    return f"select {', '.join(chosen)} from {read}"


def _number(name: str) -> str:
    """The column as float64; what is not a number is null, as the service is told by null."""
    number = f"try_cast({quote(name)} as double)"
    return f"case when not isnan({number}) then {number} end"


def _no_number(name: str) -> str:
    value, number = quote(name), f"try_cast({quote(name)} as double)"
    wrong = f"({value} is not null and {number} is null) or isinf({number})"
    return f"case when {wrong} then {literal(name + ': no finite number')} end"


def _unnamed(name: str, *, must: bool) -> str:
    value = f"{quote(name)}::varchar"
    fits = f"length({value}) between 1 and {MAX_ID} and not regexp_matches({value}, '[\\x00-\\x1f\\x7f]')"
    said = literal(f"{name}: a text of 1 to {MAX_ID} characters is asked, without control characters")
    missing = f"when {value} is null then {literal(name + ': the event has no id')} " if must else ""
    return f"case {missing}when not ({fits}) then {said} end"


def _no_time(name: str, time: str) -> list[str]:
    within = f"year({time}) >= {FIRST_YEAR} and year({time}) < {LAST_YEAR}"
    said = literal(f"{name}: no time between {FIRST_YEAR} and {LAST_YEAR}")
    return [f"case when not coalesce({within}, false) then {said} end"]
