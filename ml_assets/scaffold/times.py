"""When an event happened: timestamps, dates, seconds or milliseconds since 1970, or text in one unambiguous form."""

from __future__ import annotations

from dataclasses import dataclass

from ml_assets.ingestion.readers import literal, quote
from ml_assets.scaffold.errors import ScaffoldError
from ml_assets.scaffold.look import Column, Kind, Look

DATES = ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y%m%d", "%Y.%m.%d", "%d %b %Y", "%d-%b-%Y",
         "%b %d, %Y", "%b %d %Y", "%d %B %Y", "%B %d, %Y", "%d/%m/%y", "%m/%d/%y", "%y/%m/%d", "%d.%m.%y")  # fmt: skip
CLOCKS = ("", " %H:%M", " %H:%M:%S", "T%H:%M:%S", " %I:%M %p", " %I:%M:%S %p", " %H:%M:%S.%f")
EPOCH = {1: "seconds", 1000: "milliseconds", 1_000_000: "microseconds"}
EARLIEST, LATEST = 315_532_800, 4_102_444_800
"""Seconds since 1970 that are taken for a time: 1980 to 2100."""


@dataclass(frozen=True)
class Moment:
    """How the file says a time: SQL over the raw columns that makes a TIMESTAMP of it, and the same for people."""

    sql: str
    said: str


def moment_of(look: Look, column: Column, form: str | None = None) -> Moment:
    """How a column says when something happened.

    Args:
        look: the file.
        column: the one that has the times.
        form: its format as `strptime` takes it, where the texts alone do not say.

    Raises:
        ScaffoldError: when it is no time, or may be read in two ways; it says which.
    """
    text = column.known_sql
    if form is not None:
        if not _reads(look, column, form):
            raise ScaffoldError(f"{column.raw}: not every value has the form {form}, e.g. {', '.join(column.values)}")
        return Moment(f"try_strptime({text}, {literal(form)})", form)
    if column.kind is Kind.MOMENT:
        offsets = (
            f"try_cast({quote(column.raw)} as timestamp) <> try_cast({quote(column.raw)} as timestamptz)::timestamp"
        )
        if look.connection.execute(f"select 1 from raw where {offsets} limit 1").fetchone():
            return Moment(f"try_cast({text} as timestamptz)::timestamp", "ISO 8601 with offsets, as UTC")
        return Moment(f"try_cast({text} as timestamp)", "ISO 8601")
    if column.numeric and column.low is not None and column.high is not None:
        for scale, unit in EPOCH.items():
            if EARLIEST * scale <= column.low and column.high <= LATEST * scale:
                whole = f"cast(try_cast({text} as double) as bigint)"
                return Moment(f"make_timestamp({whole} * {1_000_000 // scale})", f"{unit} since 1970, UTC")
    return _text(look, column, text)


def _text(look: Look, column: Column, text: str) -> Moment:
    fitting = [date + clock for date in DATES for clock in CLOCKS if _reads(look, column, date + clock)]
    if not fitting:
        raise ScaffoldError(
            f"{column.raw} is no time that is understood, e.g. {', '.join(column.values[:3])}: name another column "
            "with --time, or say how it is written with --time-format, e.g. '%d/%m/%Y %H:%M'"
        )
    first, *others = fitting
    for other in others:
        differs = f"strptime({quote(column.raw)}, {literal(first)}) <> strptime({quote(column.raw)}, {literal(other)})"
        found = look.connection.execute(
            f"select {quote(column.raw)} from raw where {_known(column)} and {differs} limit 1"
        ).fetchone()
        if found is not None:
            raise ScaffoldError(
                f"{column.raw} may be read in two ways, {first} and {other} (e.g. {found[0]}): "
                f"say which with --time-format '{first}' or --time-format '{other}'"
            )
    return Moment(f"try_strptime({text}, {literal(first)})", first)


def _known(column: Column) -> str:
    named = "".join(f" and {quote(column.raw)} <> {literal(word)}" for word in column.unknown)
    return f"{quote(column.raw)} is not null{named}"


def _reads(look: Look, column: Column, form: str) -> bool:
    """Whether every value of the column has this form."""
    wrong = f"select 1 from raw where {_known(column)} and try_strptime({quote(column.raw)}, {literal(form)}) is null"
    return look.connection.execute(f"{wrong} limit 1").fetchone() is None
