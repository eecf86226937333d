"""Opening raw files: is each whole, which columns has it, how many rows; CSV and JSON lines become Parquet.

Everything is read as text: whether a value has its type is the contract's question, not the reader's. A line
that is no row at all (wrong number of fields, broken JSON) is kept as text in the column `_line` and
quarantined later.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from ml_assets.files import sha256_file
from ml_assets.ingestion.addresses import SourceFile, stamp_of
from ml_assets.ingestion.errors import IngestionError
from ml_assets.ingestion.spec import TableSpec

RESERVED = ("_source", "_day", "_row", "_line", "_stray", "_path", "_raw", "_reasons")
DELIVER_AGAIN = "deliver the file again (written aside, then renamed into place), and run the day again"
LINES = pa.schema([("_line", pa.string())])


@dataclass(frozen=True)
class RawFile:
    """A raw file that is whole.

    Attributes:
        file: the file as delivered.
        parquet: what DuckDB reads: the file itself, or its copy as Parquet text columns plus `_line`.
        columns: the raw columns, in the file's order; JSON lines: sorted, none where the file has no row.
        rows: rows and unreadable lines.
        sha256: of the file as delivered.
        stamp: size and modification time; another stamp after reading means the file was written meanwhile.
    """

    file: SourceFile
    parquet: Path
    columns: tuple[str, ...]
    rows: int
    sha256: str
    stamp: tuple[int, int]

    @property
    def staged(self) -> bool:
        """Whether DuckDB reads a copy, which has the column `_line`."""
        return self.parquet != self.file.path

    def check_untouched(self) -> None:
        """Refuse a file that changed since it was opened.

        Raises:
            IngestionError: when it did.
        """
        if not self.file.path.exists() or stamp_of(self.file.path) != self.stamp:
            raise IngestionError("the file changed while it was read", file=self.file.path, remedy=DELIVER_AGAIN)


def open_raw(file: SourceFile, table: TableSpec, copy: Path, connection: duckdb.DuckDBPyConnection) -> RawFile:
    """Check that a raw file is whole, learn its columns; CSV and JSON lines are copied to `copy` as Parquet.

    Raises:
        IngestionError: when the file is empty, half-written, not in its format, or has unusable column names.
    """
    stamp = stamp_of(file.path)
    if stamp[0] == 0:
        raise IngestionError("the file is empty (0 bytes)", file=file.path, remedy=DELIVER_AGAIN)
    sha256 = sha256_file(file.path)
    parquet = file.path if file.format == "parquet" else copy
    try:
        if file.format == "csv":
            copy_csv(file.path, copy, table.encoding, table.delimiter)
        elif file.format == "jsonl":
            _copy_jsonl(file.path, table, copy, connection)
        with pq.ParquetFile(parquet) as opened:
            columns, rows = list(opened.schema_arrow.names), opened.metadata.num_rows
    except (pa.ArrowException, UnicodeDecodeError, csv.Error, OSError) as error:
        problem = f"the file is half-written or no {file.format} file ({_first_line(error)})"
        raise IngestionError(problem, file=file.path, remedy=DELIVER_AGAIN) from error
    if parquet != file.path:
        columns.remove("_line")
    _check_names(columns, file.path)
    return RawFile(file, parquet, tuple(columns), rows, sha256, stamp)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def _check_names(columns: list[str], path: Path) -> None:
    lowered = [name.strip().lower() for name in columns]
    for name, low in zip(columns, lowered, strict=True):
        why = "has no name" if not low else "appears twice" if lowered.count(low) > 1 else None
        why = "has a name that is reserved here" if low in RESERVED else why
        if why is not None:
            raise IngestionError(f"a column {why}: {name!r}", file=path, column=name, remedy="rename it in the file")


def copy_csv(path: Path, copy: Path, encoding: str = "utf-8", delimiter: str = ",") -> None:
    """Copy a CSV file with a header as Parquet text columns; lines that are no row go to `_line`, behind the rows.

    Raises:
        IngestionError: when it is half-written, or has unusable column names.
        pyarrow.ArrowException, UnicodeDecodeError, csv.Error: when it is no CSV file of that encoding.
    """
    names = _csv_header(path, encoding, delimiter)
    broken: list[str] = []

    def keep(row: pacsv.InvalidRow) -> str:
        broken.append(row.text)
        return "skip"

    reader = pacsv.open_csv(
        path,
        read_options=pacsv.ReadOptions(
            column_names=names, skip_rows=1, use_threads=False, encoding=encoding, block_size=1 << 24
        ),
        parse_options=pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=keep),
        convert_options=pacsv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
        ),
    )
    schema = pa.schema([*((name, pa.string()) for name in names), *LINES])
    last: dict[str, str | None] = {}
    with pq.ParquetWriter(copy, schema) as writer:
        for batch in reader:
            if batch.num_rows:
                writer.write_batch(pa.record_batch([*batch.columns, pa.nulls(len(batch), pa.string())], schema=schema))
                last = batch.slice(len(batch) - 1).to_pylist()[0]
        if broken:
            empty = [pa.nulls(len(broken), pa.string()) for _ in names]
            writer.write_batch(pa.record_batch([*empty, pa.array(broken, pa.string())], schema=schema))
    _check_csv_end(path, broken, last)


def _csv_header(path: Path, encoding: str, delimiter: str) -> list[str]:
    with path.open(encoding=encoding, newline="") as opened:
        header = next(csv.reader(opened, delimiter=delimiter), [])
    names = [name.lstrip("\ufeff").strip() for name in header]
    _check_names(names, path)
    return names


def _check_csv_end(path: Path, broken: list[str], last: dict[str, str | None]) -> None:
    """A writer that died leaves a last line that is cut short, or a last quote that never ends."""
    final = "".join(broken[-1:])
    with path.open("rb") as opened:
        quotes = sum(piece.count(b'"') for piece in iter(lambda: opened.read(1 << 20), b""))
        opened.seek(-min(4 * len(final) + 4, opened.tell()), os.SEEK_END)
        tail = opened.read()
    ends = tail.endswith(b"\n")
    cut_short = bool(final) and not ends and tail.decode(errors="replace").endswith(final)
    swallowed = any("\n" in value for value in [*last.values(), final] if value is not None)
    open_quote = quotes % 2 == 1 and (not ends or swallowed)
    if cut_short or open_quote:
        raise IngestionError("the file is half-written: its last row breaks off", file=path, remedy=DELIVER_AGAIN)


def _copy_jsonl(path: Path, table: TableSpec, copy: Path, connection: duckdb.DuckDBPyConnection) -> None:
    lines = copy.with_suffix(".lines")
    with path.open(encoding=table.encoding, newline="\n") as opened, pq.ParquetWriter(lines, LINES) as writer:
        for batch in _batches(line.strip("\r\n\ufeff") for line in opened):
            writer.write_batch(pa.record_batch([pa.array(batch, pa.string())], schema=LINES))
    is_row = "case when json_valid(_line) then json_type(_line) = 'OBJECT' else false end"
    source = f"read_parquet('{_literal(lines)}', file_row_number = true)"
    keys = connection.execute(
        f"select distinct unnest(json_keys(_line)) as key from {source} where {is_row} order by 1"
    )
    names = [name for (name,) in keys.fetchall()]
    values = [f"""case when {is_row} then _line ->> '$."{_literal(name)}"' end as {quote(name)}""" for name in names]
    columns = ", ".join([*values, f"case when not {is_row} then _line end as _line"])
    _check_names(names, path)
    connection.execute(
        f"copy (select {columns} from {source} order by file_row_number) to {literal(copy)} (format parquet)"
    )
    tail = f"select not {is_row} from {source} order by file_row_number desc limit 1"
    broken_tail = connection.execute(tail).fetchone()
    lines.unlink()
    if broken_tail == (True,) and not path.read_bytes().endswith(b"\n"):
        raise IngestionError("the file is half-written: its last row breaks off", file=path, remedy=DELIVER_AGAIN)


def _batches(lines: Iterator[str], size: int = 50_000) -> Iterator[list[str]]:
    filled = (line for line in lines if line.strip())
    while batch := list(islice(filled, size)):
        yield batch


def _literal(text: Path | str) -> str:
    return str(text).replace("'", "''")


def quote(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: Path | str) -> str:
    """An SQL string literal."""
    return f"'{_literal(text)}'"
