"""A column of the file: its kind, missing and distinct values, and the SQL that reads it as ingestion will."""

from __future__ import annotations

from dataclasses import dataclass, replace

import duckdb

from ml_assets.config.keys import WHOLE
from ml_assets.config.source_spec import SqlType
from ml_assets.ingestion.reading.readers import literal, quote
from ml_assets.scaffold.kinds import (
    DRESSED,
    LONG,
    NEARLY,
    TYPES,
    ZERO_LED,
    Kind,
    kind_of,
    matches,
    reads,
    spoiled,
)

UNKNOWN = ("na", "n/a", "nan", "null", "none", "nil", "-", "?", "#n/a")
"""How files write a missing number."""
FLAGS = (("no", "yes"), ("false", "true"), ("n", "y"), ("f", "t"))
"""Words for 0 and 1."""
POINT = r"\.0*$"
"""The end of a whole number that is written with a point."""
FEW = 12
"""Distinct values up to which they are kept."""


@dataclass(frozen=True)
class Column:
    """A column of the file.

    Attributes:
        raw: its name in the file.
        name: what it is called from then on.
        kind: what its values are.
        missing: rows without a value.
        distinct: different values; 1 and 1.0 are one number, Yes and yes one flag.
        values: all of them, most frequent first, where there are at most `FEW`; else a few.
        unknown: texts that stand for a missing number.
        dotted: whether numbers are written with a point, as 8.0 or 8.5: whole ones may get a fraction.
        numbered: whether every value is a whole number, however long, as 8 or 8.0: as a key 8.0 is 8 then.
        odd: where nearly every value is one, some that are none.
        low: smallest number.
        high: largest number.
        misfits: rows whose value is not of this kind; ingestion sets them aside.
        misfit: some of these values.
        spoiled: why it is a text although it looks like numbers.
    """

    raw: str
    name: str
    kind: Kind
    missing: int
    distinct: int
    values: tuple[str, ...]
    unknown: tuple[str, ...] = ()
    dotted: bool = False
    numbered: bool = False
    odd: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    misfits: int = 0
    misfit: tuple[str, ...] = ()
    spoiled: str = ""

    @property
    def numeric(self) -> bool:
        """Whether a model can read it as it is."""
        return self.kind in {Kind.WHOLE, Kind.NUMBER, Kind.FLAG}

    @property
    def from_sql(self) -> str:
        """SQL over the raw columns, all of them text: the value as the source's column takes it."""
        if self.kind is Kind.FLAG:
            no, yes = next(pair for pair in FLAGS if {value.lower() for value in self.values} <= set(pair))
            text = self.known_sql  # a word that is none of the two stays, and breaks the contract
            return f"case lower(trim({text})) when '{yes}' then '1' when '{no}' then '0' else {text} end"
        return self.known_sql

    @property
    def raw_sql(self) -> str:
        """SQL: the raw column."""
        return self.raw if self.raw == self.name else quote(self.raw)

    @property
    def key_sql(self) -> str:
        """SQL: its value as a name, digit by digit: 8 where the file writes 8 or 8.0."""
        return f"regexp_replace({self.known_sql}, {literal(POINT)}, '')" if self.numbered else self.known_sql

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
        if self.kind is Kind.WHOLE and self.dotted:
            return "DOUBLE"  # the next fraction is a number as well
        return TYPES[self.kind]

    @property
    def misfit_sql(self) -> str:
        """SQL over the raw columns: whether ingestion makes no value of this type of what is there."""
        return f"({self.from_sql} is not null and not {reads(self.type, f'({self.from_sql})::varchar')})"


def measured(connection: duckdb.DuckDBPyConnection, raw: str, name: str, rows: int) -> Column:
    """What a column of the view `raw` holds, by all of its rows."""
    text = quote(raw)
    flags = " or ".join(f"lower({text}) in {pair}" for pair in FLAGS)
    unknown = f"lower({text}) in {UNKNOWN}"
    zero_led, long = matches(text, ZERO_LED), matches(text, LONG)
    number = f"({reads('DOUBLE', text)} and not {zero_led} and not {long})"
    whole = f"({number} and {reads('BIGINT', text)})"
    numbered = matches(text, WHOLE + "([.]0*)?")
    counted = connection.execute(
        f"""select count(*), count_if({unknown}), count_if({whole}), count_if({number}),
            count_if({reads("TIMESTAMP", text)}), count_if({flags}), count_if({zero_led}), count_if({numbered}),
            count_if({number} and contains({text}, '.')), count_if(not {number} and {matches(text, DRESSED)}),
            min(try_cast({text} as double)) filter ({number}), max(try_cast({text} as double)) filter ({number})
        from raw where {text} is not null"""
    ).fetchone()
    assert counted is not None  # noqa: S101  # an aggregate has one row
    known, gone, wholes, numbers, moments, flagged, zeros, named, dots, dressed = (v or 0 for v in counted[:-2])
    low, high = counted[-2:]
    kind = kind_of(known - gone, whole=wholes, number=numbers, moment=moments, flag=flagged, zero_led=zeros)
    if kind is Kind.FLAG:
        meant = {value.lower() for value in _frequent(connection, text, flags, FEW)}
        kind = kind if any(meant <= set(pair) for pair in FLAGS) else Kind.TEXT
    all_named = named == known - gone > 0
    strange = _frequent(connection, text, unknown, rows) if gone and (kind is not Kind.TEXT or all_named) else ()
    fitting = f"{text} not in ({', '.join(map(literal, strange))})" if strange else "true"
    values, distinct = _different(connection, text, kind, flags if kind is Kind.FLAG else fitting)
    missing = rows - known + (gone if strange else 0)
    bounds = (low, high) if kind in {Kind.WHOLE, Kind.NUMBER} else (None, None)
    why, odd = "", tuple[str, ...]()
    if kind is Kind.TEXT:
        others = _frequent(connection, text, f"not {number} and not {unknown}", 3)
        why = spoiled(others, numbers, dressed, zeros, known - gone)
    if NEARLY * (known - gone) < named < known - gone:
        odd = _frequent(connection, text, f"not {numbered} and not {unknown}", 3)
    column = Column(
        raw=raw, name=name, kind=kind, missing=missing, distinct=distinct, values=values,
        unknown=tuple(sorted(strange)), dotted=dots > 0, numbered=all_named, odd=odd,
        low=bounds[0], high=bounds[1], spoiled=why,
    )  # fmt: skip
    return _without_misfits(connection, column)


def _without_misfits(connection: duckdb.DuckDBPyConnection, column: Column) -> Column:
    """The column with the values that are not of its kind told apart."""
    if column.kind is Kind.TEXT:
        return column
    text, wrong = quote(column.raw), column.misfit_sql
    [(misfits,)] = connection.execute(f"select count(*) from raw where {wrong}").fetchall()
    if not misfits:
        return column
    known = f"{column.known_sql} is not null and not {wrong}"
    values, distinct = _different(connection, text, column.kind, known)
    misfit = _frequent(connection, text, wrong, 3)
    return replace(column, misfits=misfits, misfit=misfit, values=values, distinct=distinct)


def _different(
    connection: duckdb.DuckDBPyConnection, text: str, kind: Kind, condition: str
) -> tuple[tuple[str, ...], int]:
    """The most frequent different values that are such, and how many there are."""
    sql = f"select min({text}), count(*) over () from raw where {text} is not null and ({condition})"
    found = connection.execute(f"{sql} group by {_same(kind, text)} order by count(*) desc, 1 limit {FEW}").fetchall()
    return tuple(value for value, _ in found), found[0][1] if found else 0


def _same(kind: Kind, text: str) -> str:
    """SQL: what equal values of this kind have in common, however they are written."""
    if kind in {Kind.WHOLE, Kind.NUMBER}:
        return f"coalesce(try_cast({text} as double)::varchar, {text})"
    return f"lower({text})" if kind is Kind.FLAG else text


def _frequent(connection: duckdb.DuckDBPyConnection, text: str, condition: str, limit: int) -> tuple[str, ...]:
    """The most frequent values that are such."""
    found = connection.execute(
        f"select {text} from raw where {text} is not null and ({condition}) "
        f"group by 1 order by count(*) desc, 1 limit {limit}"
    ).fetchall()
    return tuple(value for (value,) in found)
