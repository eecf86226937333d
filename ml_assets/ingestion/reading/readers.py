"""Opening raw files: is each whole, which columns has it, how many rows; CSV becomes Parquet.

Everything is read as text: whether a value has its type is the contract's question, not the reader's. A line
that is no row at all (wrong number of fields, broken JSON) is kept as text in the column `_line` and
quarantined later.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ml_assets.config.ingestion_error import DELIVER_AGAIN, IngestionError
from ml_assets.config.source_spec import TableSpec
from ml_assets.ingestion.connectors.addresses import SourceFile
from ml_assets.ingestion.connectors.landed import Stamp, stamp_of
from ml_assets.ingestion.reading.csv_files import LINES, copy_csv
from ml_assets.ingestion.reading.names import check_names
from ml_assets.ingestion.reading.texts import check_encoding
from ml_assets.storage.files import exact_name, sha256_file

BY_DAY = "hive_partitioning = true, hive_types = {'event_day': date}"
"""How parts of the lake are read: the day is a column, which the folder says."""
NUMBERED = "file_row_number = true, hive_partitioning = false"
"""How raw files are read: with the number of each row, and with no column but their own."""


@dataclass(frozen=True)
class RawFile:
    """A raw file that is whole.

    Attributes:
        file: the file as delivered.
        parquet: what DuckDB reads: the file itself, or its copy as Parquet text columns plus `_line` and `_at`.
        columns: the raw columns, in the file's order; of JSON lines and messages the keys that the mapping reads.
        rows: rows and unreadable lines.
        sha256: of the file as delivered.
        stamp: of the file when it was opened.
        note: what was assumed to read it, for people.
        nested: columns of Parquet that are lists, structs or maps: they are read as JSON.
    """

    file: SourceFile
    parquet: Path
    columns: tuple[str, ...]
    rows: int
    sha256: str
    stamp: Stamp
    nested: tuple[str, ...] = ()
    note: str = ""

    @property
    def staged(self) -> bool:
        """Whether DuckDB reads a copy, which has the column `_line`."""
        return self.parquet != self.file.path

    @property
    def touched(self) -> bool:
        """Whether the file changed since it was opened."""
        return not self.file.path.exists() or stamp_of(self.file.path)[:2] != self.stamp[:2]

    def changed(self) -> IngestionError:
        """What to say of a file that did."""
        return IngestionError("the file changed while it was read", file=self.file.path, remedy=DELIVER_AGAIN)


def open_raw(file: SourceFile, table: TableSpec, copy: Path) -> RawFile:
    """Check that a Parquet or CSV file is whole, learn its columns; CSV is copied to `copy` as Parquet.

    Raises:
        IngestionError: when the file is empty, half-written, not in its format, or has unusable column names.
    """
    stamp = stamp_of(file.path)
    if stamp[0] == 0:
        raise IngestionError("the file is empty (0 bytes)", file=file.path, remedy=DELIVER_AGAIN)
    sha256 = sha256_file(file.path)
    parquet = file.path if file.format == "parquet" else copy
    try:
        if file.format != "parquet":
            check_encoding(file.path, table.encoding)
        if file.format == "csv":
            copy_csv(file.path, copy, table.encoding, table.delimiter)
        with pq.ParquetFile(parquet) as opened:
            schema, rows = opened.schema_arrow, opened.metadata.num_rows
            columns = list(schema.names)
            nested = tuple(field.name for field in schema if pa.types.is_nested(field.type))
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        raise _unreadable(file, error, table.encoding) from error
    if parquet != file.path:
        columns = [name for name in columns if name not in LINES.names]
    check_names(columns, file.path)
    return RawFile(file, parquet, tuple(columns), rows, sha256, stamp, nested)


def _unreadable(file: SourceFile, error: Exception, encoding: str) -> IngestionError:
    """What a file is that could not be read: cut short, of another kind, of another encoding, or out of reach."""
    if isinstance(error, UnicodeDecodeError):
        shown = bytes(error.object[max(error.start - 20, 0) : error.start + 20])
        problem = f"the file is not {encoding} ({error.reason}): {shown!r}"
        return IngestionError(problem, file=file.path, remedy="say its `encoding` where the table is declared")
    if isinstance(error, OSError) and error.errno is not None:
        remedy = "see to the disk, and run the day again"
        return IngestionError(f"the file cannot be read ({_first_line(error)})", file=file.path, remedy=remedy)
    if file.format == "parquet":
        with file.path.open("rb") as opened:
            head = opened.read(40)
        if not head.startswith(b"PAR1"):
            remedy = "give the file the suffix of what it is, or deliver Parquet"
            return IngestionError(
                f"the file is no parquet file; it begins with {head!r}", file=file.path, remedy=remedy
            )
        return IngestionError(f"the file is half-written ({_first_line(error)})", file=file.path, remedy=DELIVER_AGAIN)
    problem = f"the file cannot be read as {file.format} ({_first_line(error)})"
    return IngestionError(problem, file=file.path, remedy="correct the file at that place")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def _literal(text: Path | str) -> str:
    return str(text).replace("'", "''")


def quote(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def parquet(*paths: Path, options: str = "hive_partitioning = false") -> str:
    """SQL for the rows of Parquet files; neither their names nor their folders mean anything."""
    return f"read_parquet([{', '.join(literal(exact_name(path)) for path in paths)}], {options})"


def literal(text: Path | str) -> str:
    """An SQL string literal."""
    return f"'{_literal(text)}'"
