"""What a file holds: its columns with type, missing values and distinct values, read as ingestion will read it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from ml_assets.ingestion.addresses import SUFFIXES, SourceFile
from ml_assets.ingestion.readers import literal, open_raw, quote
from ml_assets.ingestion.spec import ColumnSpec, Format, SqlType, TableSpec, TimeSpec
from ml_assets.scaffold.errors import ScaffoldError
from ml_assets.scaffold.names import identifiers

UNKNOWN = ("na", "n/a", "nan", "null", "none", "nil", "-", "?", "#n/a")
"""How files write a missing number."""
FLAGS = (("no", "yes"), ("false", "true"), ("n", "y"), ("f", "t"))
"""Words for 0 and 1."""
FEW = 12
"""Distinct values up to which they are kept."""


class Kind(StrEnum):
    """What the values of a column are."""

    WHOLE = "whole number"
    NUMBER = "number"
    FLAG = "yes or no"
    MOMENT = "time"
    TEXT = "text"


@dataclass(frozen=True)
class Column:
    """A column of the file.

    Attributes:
        raw: its name in the file.
        name: what it is called from then on.
        kind: what its values are.
        missing: rows without a value.
        distinct: different values.
        values: all of them, most frequent first, where there are at most `FEW`; else a few.
        unknown: texts that stand for a missing number.
        dotted: whether whole numbers are written with a point, as 8.0.
        low: smallest number.
        high: largest number.
    """

    raw: str
    name: str
    kind: Kind
    missing: int
    distinct: int
    values: tuple[str, ...]
    unknown: tuple[str, ...] = ()
    dotted: bool = False
    low: float | None = None
    high: float | None = None

    @property
    def numeric(self) -> bool:
        """Whether a model can read it as it is."""
        return self.kind in {Kind.WHOLE, Kind.NUMBER, Kind.FLAG}

    @property
    def from_sql(self) -> str:
        """SQL over the raw columns, all of them text: the value as the source's column takes it."""
        if self.kind is Kind.FLAG:
            no, yes = next(pair for pair in FLAGS if {value.lower() for value in self.values} <= set(pair))
            return f"case lower(trim({self.raw_sql})) when '{yes}' then 1 when '{no}' then 0 end"
        return self.known_sql

    @property
    def raw_sql(self) -> str:
        """SQL: the raw column."""
        return self.raw if self.raw == self.name else quote(self.raw)

    @property
    def key_sql(self) -> str:
        """SQL: its value as a name: 8 where the file writes 8 or 8.0."""
        whole = self.kind is Kind.WHOLE and self.dotted
        return f"cast(try_cast({self.known_sql} as double) as bigint)" if whole else self.known_sql

    @property
    def known_sql(self) -> str:
        """SQL: its text, or null where the text stands for a missing value."""
        text = self.raw_sql
        for word in self.unknown:
            text = f"nullif({text}, {literal(word)})"
        return text

    @property
    def type(self) -> SqlType:
        """Its type in the lake."""
        types: dict[Kind, SqlType] = {
            Kind.WHOLE: "BIGINT", Kind.NUMBER: "DOUBLE", Kind.FLAG: "INTEGER", Kind.MOMENT: "TIMESTAMP",
        }  # fmt: skip
        return types.get(self.kind, "VARCHAR")


@dataclass(frozen=True)
class Look:
    """A file that was looked at; `connection` has its rows as texts in the view `raw`."""

    path: Path
    format: Format
    delimiter: str
    encoding: str
    rows: int
    columns: tuple[Column, ...]
    connection: duckdb.DuckDBPyConnection

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
            shown = ", ".join(column.values[:3])
            lines.append(f"  {column.raw:{width}}  {column.kind}, {column.distinct:,} values{gone}: {shown[:60]}")
        return "\n".join(lines)


@contextmanager
def look(path: Path) -> Iterator[Look]:
    """Open a Parquet or CSV file and learn its columns from all of its rows.

    Raises:
        ScaffoldError: when there is no such file, or it is neither CSV nor Parquet, or has no rows.
        IngestionError: when it cannot be read; it says why.
    """
    form = SUFFIXES.get(path.suffix.lower())
    if not path.is_file():
        raise ScaffoldError(f"there is no file {path}")
    if form not in {"csv", "parquet"}:
        raise ScaffoldError(f"{path}: a CSV or Parquet file is wanted (.csv, .parquet); write it as one of the two")
    with TemporaryDirectory() as folder, duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute("set enable_progress_bar = false")
        delimiter = _delimiter(path, connection) if form == "csv" else ","
        encoding = _encoding(path) if form == "csv" else "utf8"
        opened = open_raw(
            SourceFile(path, path.name, form, None),
            _as_table(delimiter, encoding),
            Path(folder) / "rows.parquet",
            connection,
        )
        texts = ", ".join(
            f"nullif(trim(cast({quote(name)} as varchar)), '') as {quote(name)}" for name in opened.columns
        )
        broken = "where _line is null" if opened.staged else ""
        connection.execute(f"create view raw as select {texts} from read_parquet({literal(opened.parquet)}) {broken}")
        [(rows,)] = connection.execute("select count(*) from raw").fetchall()
        if not rows:
            raise ScaffoldError(f"{path} has no rows")
        names = identifiers(opened.columns)
        columns = tuple(_column(connection, raw, name, rows) for raw, name in names.items())
        yield Look(path, form, delimiter, encoding, rows, columns, connection)


def _delimiter(path: Path, connection: duckdb.DuckDBPyConnection) -> str:
    try:
        found = connection.execute(f"select delimiter from sniff_csv({literal(path)}, ignore_errors = true)").fetchone()
    except duckdb.Error:
        return ","  # reading it says what is wrong with it
    return str(found[0]) if found else ","


def _encoding(path: Path) -> str:
    with path.open(encoding="utf8") as opened:
        try:
            while opened.read(1 << 20):
                pass
        except UnicodeDecodeError:
            return "latin1"
    return "utf8"


def _as_table(delimiter: str, encoding: str) -> TableSpec:
    """How ingestion will be told to read it."""
    column = ColumnSpec.model_validate({"from": "now()", "type": "TIMESTAMP", "description": "any"})
    return TableSpec(
        name="rows", description="any", address="any", day="now()", delimiter=delimiter, encoding=encoding,
        columns={"at": column}, time=TimeSpec(column="at"), key=("at",), max_quarantine_share=0,
    )  # fmt: skip


def _column(connection: duckdb.DuckDBPyConnection, raw: str, name: str, rows: int) -> Column:
    text = quote(raw)
    flags = " or ".join(f"lower({text}) in {pair}" for pair in FLAGS)
    unknown = f"lower({text}) in {UNKNOWN}"
    whole = f"try_cast({text} as double) = try_cast({text} as bigint) and not regexp_full_match({text}, '[+-]?0[0-9]+')"
    number = f"isfinite(try_cast({text} as double)) and not regexp_full_match({text}, '[+-]?0[0-9]+')"
    counted = connection.execute(
        f"""select count(*), count(distinct {text}), count_if({unknown}), count_if({whole}), count_if({number}),
            count_if(isfinite(try_cast({text} as timestamptz))), count_if({flags}), count_if(contains({text}, '.')),
            min(try_cast({text} as double)) filter ({number}), max(try_cast({text} as double)) filter ({number})
        from raw where {text} is not null"""
    ).fetchone()
    assert counted is not None  # noqa: S101  # an aggregate has one row
    known, distinct, gone, wholes, numbers, moments, flagged, dots = (count or 0 for count in counted[:-2])
    low, high = counted[-2:]
    found = connection.execute(
        f"select {text} from raw where {text} is not null group by 1 order by count(*) desc, 1 limit {FEW}"
    ).fetchall()
    values = tuple(value for (value,) in found)
    kind = _kind(known - gone, wholes, numbers, moments, flagged)
    if kind is Kind.FLAG and not any({value.lower() for value in values} <= {*pair, *UNKNOWN} for pair in FLAGS):
        kind = Kind.TEXT
    strange: tuple[str, ...] = ()
    if gone and kind is not Kind.TEXT:
        marks = connection.execute(f"select distinct {text} from raw where {unknown} order by 1").fetchall()
        strange = tuple(mark for (mark,) in marks)
        values = tuple(value for value in values if value not in strange)
        distinct -= len(strange)
    missing = rows - known + (gone if strange else 0)
    bounds = (low, high) if kind in {Kind.WHOLE, Kind.NUMBER} else (None, None)
    return Column(raw, name, kind, missing, distinct, values, strange, dots > 0, *bounds)


def _kind(known: int, whole: int, number: int, moment: int, flag: int) -> Kind:
    """What all known values are; nothing known is text."""
    kinds = ((whole, Kind.WHOLE), (number, Kind.NUMBER), (flag, Kind.FLAG), (moment, Kind.MOMENT))
    return next((kind for count, kind in kinds if known and count == known), Kind.TEXT)
