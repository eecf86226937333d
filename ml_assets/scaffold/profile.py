"""What a file holds: its columns with type, missing values and distinct values, read as ingestion will read it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from ml_assets.config.source_spec import ColumnSpec, Format, TableSpec, TimeSpec
from ml_assets.ingestion.connectors.addresses import SUFFIXES, SourceFile
from ml_assets.ingestion.reading.readers import RawFile, open_raw, parquet, quote
from ml_assets.ingestion.reading.texts import NAMED, UTF8, Assumed, delimiter_of, encoding_of
from ml_assets.scaffold.errors import ScaffoldError
from ml_assets.scaffold.kinds import (
    shown,
)
from ml_assets.scaffold.names import identifiers
from ml_assets.scaffold.raw_column import Column, measured


@dataclass(frozen=True)
class Look:
    """A file that was looked at; `connection` has its rows as texts in the view `raw`.

    `apart` lines are no rows, and `notes` say what was assumed to read the others.
    """

    path: Path
    format: Format
    delimiter: str
    encoding: str
    rows: int
    columns: tuple[Column, ...]
    connection: duckdb.DuckDBPyConnection
    apart: int = 0
    notes: tuple[str, ...] = ()

    def column(self, name: str) -> Column:
        """The column of that name, in the file or as it is called from then on.

        Raises:
            ScaffoldError: when there is none; it lists those there are.
        """
        for column in self.columns:
            if name in {column.raw, column.name}:
                return column
        raise ScaffoldError(f"{self.path.name} has no column {name!r}; it has\n{self.listing()}")

    def listing(self) -> str:
        """The columns, a line each."""
        width = max(len(column.raw) for column in self.columns)
        lines = []
        for column in self.columns:
            gone = f", {column.missing:,} missing" if column.missing else ""
            gone += f", {column.misfits:,} are none ({shown(column.misfit)})" if column.misfits else ""
            some = ", ".join(column.values[:3])
            lines.append(f"  {column.raw:{width}}  {column.kind}, {column.distinct:,} values{gone}: {some[:60]}")
        return "\n".join(lines)


@contextmanager
def look(path: Path) -> Iterator[Look]:
    """Open a Parquet or CSV file and learn its columns from all of its rows.

    Raises:
        ScaffoldError: when there is no such file, or it is neither CSV nor Parquet, or has no rows.
        IngestionError: when it cannot be read; it says why.
    """
    form = SUFFIXES.get(path.suffix.lower())
    if path.is_dir():
        raise ScaffoldError(f"{path} is a folder: name one of its files, then say `{{day}}` in the source's address")
    if not path.is_file():
        raise ScaffoldError(f"there is no file {path}")
    if form not in {"csv", "parquet"}:
        raise ScaffoldError(f"{path}: a CSV or Parquet file is wanted (.csv, .parquet); write it as one of the two")
    with TemporaryDirectory() as folder, duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute("set enable_progress_bar = false")
        assumed = encoding_of(path) if form == "csv" else Assumed("utf8")
        encoding = "utf8" if assumed.encoding == UTF8 else assumed.encoding
        delimiter = delimiter_of(path, encoding) if form == "csv" else ","
        opened = open_raw(
            SourceFile(path, path.name, form, None),
            _as_table(delimiter, encoding),
            Path(folder) / "rows.parquet",
        )
        texts = ", ".join(
            f"nullif(trim(cast({quote(name)} as varchar)), '') as {quote(name)}" for name in opened.columns
        )
        broken = "where _line is null" if opened.staged else ""
        connection.execute(f"create view raw as select {texts} from {parquet(opened.parquet)} {broken}")
        [(rows,)] = connection.execute("select count(*) from raw").fetchall()
        if not rows:
            raise ScaffoldError(_without_rows(path, opened, connection))
        names = identifiers(opened.columns)
        columns = tuple(measured(connection, raw, name, rows) for raw, name in names.items())
        apart, note = _apart(path, opened, connection)
        notes = [assumed.why, f"{path.name} is separated by {NAMED[delimiter]}" if delimiter != "," else "", note]
        said = tuple(note for note in notes if note)
        yield Look(path, form, delimiter, encoding, rows, columns, connection, apart, said)


def _without_rows(path: Path, opened: RawFile, connection: duckdb.DuckDBPyConnection) -> str:
    """Why nothing in a file is a row."""
    if not opened.rows:
        return f"{path} has no rows"
    [(line, at)] = connection.execute(
        f"select _line, _at from {parquet(opened.parquet)} order by _at limit 1"
    ).fetchall()
    return (
        f"{path}: none of its {opened.rows:,} lines has as many fields as the header, which is "
        f"{', '.join(opened.columns)[:80]!r}; line {at} is {line[:80]!r}: does something stand above the header, or a "
        "separator at the end of each line?"
    )


def _apart(path: Path, opened: RawFile, connection: duckdb.DuckDBPyConnection) -> tuple[int, str]:
    """How many lines are no rows, and a note on them."""
    if not opened.staged:
        return 0, ""
    found = f"from {parquet(opened.parquet)} where _line is not null"
    [(count, line)] = connection.execute(f"select count(*), any_value(_line) {found}").fetchall()
    why = "another number of fields, a quote that does not end, or a byte of no encoding"
    note = (
        f"{count:,} lines of {path.name} are no rows ({why}), e.g. {line[:80]!r}: they go to quarantine"
        if count
        else ""
    )
    return int(count), note


def _as_table(delimiter: str, encoding: str) -> TableSpec:
    """How ingestion will be told to read it."""
    column = ColumnSpec.model_validate({"from": "now()", "type": "TIMESTAMP", "description": "any"})
    return TableSpec(
        name="rows", description="any", address="any", day="now()", delimiter=delimiter, encoding=encoding,
        columns={"at": column}, time=TimeSpec(column="at"), key=("at",), max_quarantine_share=0,
    )  # fmt: skip
