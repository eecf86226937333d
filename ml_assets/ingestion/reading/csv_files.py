"""CSV files as Parquet text columns: every line is a row, or is kept as text in `_line`, and both are counted."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ml_assets.config.ingestion_error import DELIVER_AGAIN, IngestionError
from ml_assets.ingestion.reading.csv_lines import Grammar, Lines, scan
from ml_assets.ingestion.reading.names import check_names
from ml_assets.ingestion.reading.texts import DELIMITERS, NAMED, TOLERATED, WINDOWS, check_encoding, lines_of, readable

LINES = pa.schema([("_line", pa.string()), ("_at", pa.int64())])
SHOWN = 60


def copy_csv(path: Path, copy: Path, encoding: str = "utf-8", delimiter: str = ",") -> None:
    """Copy a CSV file with a header as Parquet text columns; lines that are no row go to `_line`, behind the rows.

    Each has in `_at` the line it begins in, from 1.

    No row is such a line: another number of fields, a quote that is not closed as it should be, a byte that is none of
    the encoding.

    Raises:
        IngestionError: when it is half-written, in another encoding, with other separators, has unusable column names,
            or when its lines do not come to its rows; it names the line.
        pyarrow.ArrowException: when it is no CSV file.
    """
    check_encoding(path, encoding)
    try:
        lines = scan(path, encoding, delimiter)
    except UnicodeDecodeError as error:
        raise IngestionError(f"the file breaks off ({error.reason})", file=path, remedy=DELIVER_AGAIN) from error
    _check_separator(path, lines, delimiter)
    check_names(names_of(lines.header), path)
    _check_bytes(path, lines, encoding)
    plain = not lines.apart and codecs.lookup(encoding).name in {"utf-8", "ascii"}
    text = path if plain else _without(path, encoding, lines, copy.with_suffix(".text"))
    rows, more = _read(path, text, copy, lines, delimiter, skip=lines.header_lines if plain else 0)
    if not plain:
        text.unlink()
    if rows + more != lines.rows:
        problem = f"{lines.rows:,} lines after the header are rows, and {rows + more:,} rows were read of them"
        raise IngestionError(problem, file=path, remedy="write it again by a program that quotes as RFC 4180 says")
    _check_end(path, lines, delimiter)


def _read(path: Path, text: Path, copy: Path, lines: Lines, delimiter: str, *, skip: int) -> tuple[int, int]:
    """Read the rows and write them and the broken lines; rows, and lines with another number of fields."""
    named, others = names_of(lines.header), dict[int, str]()
    schema = pa.schema([*((name, pa.string()) for name in named), *LINES])
    rows, after = 0, 0
    with pq.ParquetWriter(copy, schema) as writer:
        for batch in _batches(text, lines, delimiter, others, skip) if lines.rows else ():
            numbers = _numbers(after, len(batch), others)
            rows, after = rows + len(batch), int(numbers[-1]) + 1
            _check_nameless(path, batch.columns[len(named) :], lines.lines_of(numbers))
            at = pa.array(lines.lines_of(numbers))
            columns = [*batch.columns[: len(named)], pa.nulls(len(batch), pa.string()), at]
            writer.write_batch(pa.record_batch(columns, schema=schema))
        apart = {number: readable(line) for number, line in lines.apart.items()}
        at = lines.lines_of(np.array(list(others), dtype=np.int64))
        apart |= dict(zip(at.tolist(), others.values(), strict=True))
        if apart:
            empty = [pa.nulls(len(apart), pa.string()) for _ in named]
            columns = [*empty, pa.array(apart.values(), pa.string()), pa.array(apart.keys(), pa.int64())]
            writer.write_batch(pa.record_batch(columns, schema=schema))
    return rows, len(others)


def _batches(text: Path, lines: Lines, delimiter: str, others: dict[int, str], skip: int) -> Iterator[pa.RecordBatch]:
    """The rows of a text, a column per field of the header; lines with another number of fields come into `others`."""

    def keep(row: pacsv.InvalidRow) -> str:
        others[row.number - skip - 1] = row.text
        return "skip"

    columns = [f"c{place}" for place in range(len(lines.header))]
    reader = pacsv.open_csv(
        text,
        read_options=pacsv.ReadOptions(column_names=columns, skip_rows=skip, use_threads=False, block_size=1 << 24),
        parse_options=pacsv.ParseOptions(
            delimiter=delimiter, newlines_in_values=lines.several, invalid_row_handler=keep
        ),
        convert_options=pacsv.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=True, null_values=[""]
        ),
    )
    yield from (batch for batch in reader if batch.num_rows)


def names_of(header: Sequence[str]) -> list[str]:
    """The columns of a header, without those at its end that have no name: separators that end every line."""
    named = next((place for place, name in enumerate(reversed(header)) if name), len(header))
    return list(header[: len(header) - named])


def _check_nameless(path: Path, columns: Sequence[pa.Array], at: NDArray[np.int64]) -> None:
    """Refuse a value in a column without a name."""
    for column in columns:
        if column.null_count < len(column):
            place = pc.index(pc.is_valid(column), True).as_py()
            problem = f"a column has no name: line {at[place]} has {column[place].as_py()[:SHOWN]!r} in it"
            raise IngestionError(problem, file=path, column="", remedy="name it in the file")


def _numbers(first: int, count: int, others: Mapping[int, str]) -> NDArray[np.int64]:
    """The numbers of so many rows from `first` on, without those that were no rows."""
    among = np.arange(first, first + count + len(others), dtype=np.int64)
    return among[~np.isin(among, np.fromiter(others, np.int64))][:count]


def _without(path: Path, encoding: str, lines: Lines, clean: Path) -> Path:
    """The lines that are rows, as UTF-8, without the header."""

    def kept() -> Iterator[str]:
        for number, line in enumerate(lines_of(path, encoding), 1):
            if number > lines.header_lines and number not in lines.apart:
                yield line

    with clean.open("w", encoding="utf-8", newline="") as opened:
        opened.writelines(kept())
    return clean


def _check_separator(path: Path, lines: Lines, delimiter: str) -> None:
    """A header of one column that holds other separators was not written with this one."""
    other = max(DELIMITERS, key=lines.first.count)
    if len(lines.header) == 1 and other != delimiter and other in lines.first:
        problem = f"the columns are separated by {NAMED[other]}, not by {NAMED.get(delimiter, repr(delimiter))}"
        remedy = f"say `delimiter: {other!r}` where the table is declared, or deliver it with {delimiter!r}"
        raise IngestionError(f"{problem}: the first line is {lines.first[:SHOWN]!r}", file=path, remedy=remedy)


def _check_bytes(path: Path, lines: Lines, encoding: str) -> None:
    """A few lines with bytes of another encoding are set aside; many mean that the file is in another one."""
    count = len(lines.foreign)
    if count <= TOLERATED * lines.rows or 2 * count <= lines.accented:
        return
    number = lines.foreign[0]
    try:
        meant = lines.apart[number].encode(encoding, "surrogateescape").decode(WINDOWS)
        said = f"as {WINDOWS} it says {meant[:SHOWN]!r}; if that is meant, say `encoding: {WINDOWS}`"
    except UnicodeError:
        said = "say its `encoding`"
    problem = f"{count:,} of its lines are not {encoding}: line {number} is {readable(lines.apart[number])[:SHOWN]!r}"
    remedy = f"{said} where the table is declared, or deliver the file as {encoding}"
    raise IngestionError(problem, file=path, remedy=remedy)


def _check_end(path: Path, lines: Lines, delimiter: str) -> None:
    """A writer that died leaves a last line without its end that begins like a row and has too few fields."""
    number, text = lines.last
    if lines.ended or not text or number <= lines.header_lines:
        return
    grammar, width = Grammar(delimiter), len(lines.header)
    fields = grammar.split(text)
    open_quote = number in lines.apart and grammar.opening.fullmatch(text) is not None
    if (len(fields) < width or open_quote) and grammar.begins(text, lines.before_last):
        problem = f"the file is half-written: line {number}, its last, breaks off after {len(fields)} of {width} fields"
        remedy = f"{DELIVER_AGAIN}; if the line is meant so, end it with a line break and it is set aside"
        raise IngestionError(f"{problem}: {readable(text)[-SHOWN:]!r}", file=path, remedy=remedy)
