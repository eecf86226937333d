"""What the values of a column are: nearly all of them decide, the others are shown and set aside."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum

from ml_assets.config.source_spec import ColumnSpec, SqlType
from ml_assets.ingestion.contract.checks import value_sql
from ml_assets.ingestion.reading.readers import literal
from ml_assets.ingestion.reading.texts import TOLERATED

NEARLY = 1 - TOLERATED
"""Share of a column's values that say what it is."""
ZERO_LED = "[+-]?0[0-9]+"
"""A number with a zero before it is a name: 007 is not 7."""
LONG = "[+-]?[0-9]{16,}"
"""A whole number that a double cannot hold to the last digit is a name."""
WRITTEN = (
    ("a currency", re.compile(r"[€$£¥]|\b(?:EUR|USD|GBP|CHF|JPY|Fr\.?|kr\.?|zł)", re.IGNORECASE)),
    ("a percent sign", re.compile(r"%")),
    ("a decimal comma", re.compile(r"^\D*\d+(?:[. '\u00a0\u202f]\d{3})*,(?:\d{1,2}|\d{4,})\D*$|^\D*0,\d+")),
    ("thousands separators", re.compile(r"\d[., '\u00a0\u202f]\d{3}(?:\D|$)")),
)  # fmt: skip
"""How strangers write numbers that SQL does not read as such."""
MONEY = "[€$£¥%]|EUR|USD|GBP|CHF|JPY|kr|zł"
DRESSED = rf"({MONEY})?\s*[+-]?\s*[0-9]+([., '\x{{2019}}\x{{00a0}}\x{{202f}}][0-9]+)*\s*({MONEY})?"
"""A number with separators or a currency."""


class Kind(StrEnum):
    """What the values of a column are."""

    WHOLE = "whole number"
    NUMBER = "number"
    FLAG = "yes or no"
    MOMENT = "time"
    TEXT = "text"


TYPES: dict[Kind, SqlType] = {
    Kind.WHOLE: "BIGINT", Kind.NUMBER: "DOUBLE", Kind.FLAG: "INTEGER", Kind.MOMENT: "TIMESTAMP", Kind.TEXT: "VARCHAR",
}  # fmt: skip


def reads(type_: SqlType, text: str) -> str:
    """SQL: whether ingestion makes a value of this type of a text."""
    column = ColumnSpec.model_validate({"from": "any", "type": type_, "description": "any"})
    return f"({value_sql(column, text)}) is not null"


def kind_of(known: int, *, whole: int, number: int, moment: int, flag: int, zero_led: int) -> Kind:
    """What nearly all known values are; nothing known is text, and so are numbers of which some begin with a zero."""
    least = NEARLY * known
    if known and number >= least and not zero_led:
        return Kind.WHOLE if whole >= number else Kind.NUMBER
    if known and flag >= least:
        return Kind.FLAG
    return Kind.MOMENT if known and moment >= least and not zero_led else Kind.TEXT


def spoiled(values: Sequence[str], numbers: int, dressed: int, zero_led: int, known: int) -> str:
    """Why a column of texts is none of numbers although it looks like one; empty where it does not.

    Args:
        values: some of its values that are no numbers, the most frequent first.
        numbers: values that are.
        dressed: values that are, but for a separator or currency.
        zero_led: values that begin with a zero.
        known: all that are known.
    """
    if not known or not values or zero_led or 2 * (numbers + dressed) < known:
        return ""
    how = [name for name, form in WRITTEN if any(form.search(value) for value in values)] if dressed else []
    written = f" ({' and '.join(how)})" if how else ""
    remedy = "write them as 1234.5" + (
        ", or take the signs out in `from`, e.g. replace(price, ',', '.')" if how else ""
    )
    return f"{known - numbers:,} of {known:,} values are no numbers, e.g. {shown(values[:3])}{written}: {remedy}"


def shown(values: Iterable[str]) -> str:
    """Values for people, each cut to what fits."""
    return ", ".join(repr(value[:40]) if not value.isprintable() or "," in value else value[:40] for value in values)


def matches(text: str, pattern: str) -> str:
    """SQL: whether a text as a whole has a pattern."""
    return f"regexp_full_match({text}, {literal(pattern)})"
