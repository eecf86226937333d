"""A file of events as the point-in-time join takes it; a row that the service would refuse is set aside with why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml_assets.config.ingestion_error import IngestionError
from ml_assets.config.keys import KeyForm
from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.numbers import Bounds
from ml_assets.datasets.source_reading import SourceReading
from ml_assets.ingestion.reading.csv_files import copy_csv, names_of
from ml_assets.ingestion.reading.csv_lines import header_of
from ml_assets.scoring.event_sql import NAME, EventColumns, Said, events_sql
from ml_assets.scoring.pieces import PIECE
from ml_assets.scoring.scored_file import UnfitFrameError, is_number
from ml_assets.storage.files import replace_file

ID = NAME
REJECTED = pa.schema(
    [("row", pa.int64()), ("line", pa.int64()), (ID, pa.string()), ("reason", pa.string()), ("raw", pa.string())]
)


def columns_of(
    spec: ModelSpec,
    keys: tuple[str, ...],
    file: Path,
    forms: Mapping[str, KeyForm] | None = None,
    source: SourceReading | None = None,
    *,
    bounds: Mapping[str, Bounds] | None = None,
) -> EventColumns:
    """The columns that events of the model have in this file, once it is known to be fit.

    Args:
        spec: the model's.
        keys: join keys of its features.
        file: Parquet or CSV.
        forms: how these keys are written; a text where it is not said.
        source: how the model's source reads files.
        bounds: what its numbers may be; anything where it is not said.

    Raises:
        FileNotFoundError: when there is no such file.
        UnfitFrameError: when it is neither Parquet nor CSV, lacks a column, or one has a type that cannot be meant.
    """
    source = source or SourceReading()
    if not file.exists():
        raise FileNotFoundError(f"no file {file}")
    schema = _schema(file, source)
    wanted = list(dict.fromkeys([spec.entity, *keys, *spec.request_features]))
    mapped = source.mapped(schema.names, [*wanted, spec.time])
    time = spec.time if spec.time in {*schema.names, *mapped} else None
    found = EventColumns(spec.entity, keys, spec.request_features, time, forms or {}, bounds or {}, source, mapped)
    if missing := [name for name in wanted if name not in {*schema.names, *mapped}]:
        raise UnfitFrameError(_lacking(file, spec, source, missing))
    if not is_csv(file):
        _check_types(file, schema, found)
    return found


def _lacking(file: Path, spec: ModelSpec, source: SourceReading, missing: list[str]) -> str:
    made = [f"{name} from {source.columns[name]}" for name in missing if source.columns.get(name, name) != name]
    read = f"; it was read with {source.delimiter_of(file)!r} between columns" if is_csv(file) else ""
    either = f" (the source {source.name} makes {'; '.join(made)})" if made else ""
    lacking = f"{file}: lacks columns of an event of {spec.name}: {', '.join(missing)}{either}{read}"
    return f"{lacking}; what only the spine makes has to be in the file, or be made in the source's `columns`"


def write_entities(file: Path, columns: EventColumns, moment: datetime | None, entities: Path, rejected: Path) -> None:
    """Write the fit rows as entity rows, in their order, and the others with their number and the reason.

    Memory is bounded, however many rows there are.

    Args:
        file: Parquet, or CSV with a header; missing is null or NaN, in CSV nothing.
        columns: what is read of it.
        moment: when all events are asked (UTC, naive), where the file has no time.
        entities: takes `event__id`, the keys as texts, `event_timestamp`, `now`, and `request__<name>`, float64.
        rejected: takes the others: `row` (from 1; null for a line that is no row), of CSV the `line` it begins in, id,
            `reason`, `raw` (JSON or line).

    Raises:
        UnfitFrameError: when the file breaks off, or cannot be read to its end.
    """
    raw = _as_parquet(file, columns.source, entities.with_name("as_text.parquet"))
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("set timezone = 'UTC'")
        stream = _stream(file, connection, _sql(raw, columns, moment, lines=raw != file))
        fit = [name for name in stream.schema.names if name not in REJECTED.names or name == ID]
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


def is_csv(file: Path) -> bool:
    """Whether a file is read as CSV."""
    return file.suffix.lower() == ".csv"


def _schema(file: Path, source: SourceReading) -> pa.Schema:
    try:
        if not is_csv(file):
            return pq.read_schema(file)
        header = names_of(header_of(file, source.encoding_of(file), source.delimiter_of(file)))
        return pa.schema([(name, pa.string()) for name in header])
    except IngestionError as error:
        raise UnfitFrameError(f"{file}: {error.problem}") from None
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise UnfitFrameError(f"{file}: no {'CSV' if is_csv(file) else 'Parquet'} file ({error})") from None


def _check_types(file: Path, schema: pa.Schema, columns: EventColumns) -> None:
    """Refuse a column whose values can be meant neither as a caller says them nor as the source reads them."""
    kinds = {name: schema.field(name).type for name in schema.names if name not in columns.mapped}
    names = [name for name in dict.fromkeys([columns.entity, *columns.keys]) if name in kinds]
    wrong = [
        *(
            f"{name} ({kinds[name]}): a number is asked"
            for name in columns.request
            if name in kinds and not is_number(kinds[name])
        ),
        *(
            f"{name} ({kinds[name]}): a text or whole number is asked"
            for name in names
            if pa.types.is_nested(kinds[name]) or pa.types.is_binary(kinds[name])
        ),
    ]
    if columns.time in kinds and not _is_moment(kinds[columns.time]):
        wrong.append(f"{columns.time} ({kinds[columns.time]}): a time is asked")
    if wrong:
        raise UnfitFrameError(f"{file}: columns of another type: {'; '.join(wrong)}")


def _is_moment(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind) or _is_text(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _as_parquet(file: Path, source: SourceReading, copy: Path) -> Path:
    if not is_csv(file):
        return file
    try:
        copy_csv(file, copy, source.encoding_of(file), source.delimiter_of(file))
    except IngestionError as error:
        raise UnfitFrameError(f"{file}: {error.problem}") from None
    except pa.ArrowException as error:
        raise UnfitFrameError(f"{file}: no CSV file ({error})") from None
    return copy


def _sql(raw: Path, columns: EventColumns, moment: datetime | None, *, lines: bool) -> str:
    return events_sql(raw, Said(pq.read_schema(raw), columns), moment, lines=lines)
