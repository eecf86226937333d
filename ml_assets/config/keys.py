"""The one form a join key has wherever it is read: training, the stores, scored files, requests.

A key is a text without spaces around it. A key of whole numbers is written without a point: 348.0 is 348, and what is
no whole number cannot be meant. A text stays what it is: `007` is not `7`. A missing key is the word that training had
for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LONGEST = 64
"""Characters of a key."""
NAMED = rf"[^\x00-\x1f\x7f]{{1,{LONGEST}}}"
"""Regular expression of a text that a request can name."""
WHOLE = r"-?(0|[1-9][0-9]{0,62})"
"""Regular expression of a whole number as a key."""
_NAMED, _WHOLE = re.compile(NAMED), re.compile(WHOLE)
SPACES = " \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
"""What `trim` in SQL takes away."""
ASKED = f"a text of 1 to {LONGEST} characters is asked, without control characters"
NUMBER_ASKED = "a whole number is asked, with all of its digits"
EXACT = 2**53
"""Whole numbers up to here are themselves as float64; of larger ones the last digits are lost."""


@dataclass(frozen=True, slots=True)
class KeyForm:
    """How a join key is written: as a whole number or a text, and the word for a missing one (None: nothing known)."""

    number: bool = False
    missing: str | None = None


TEXT = KeyForm()


def canonical(value: object, form: KeyForm = TEXT) -> str | None:
    """The key as training has it.

    Args:
        value: a text, for whole numbers also a number; None or a text without content is missing.
        form: of the key.

    Raises:
        ValueError: when it cannot be meant; the text says what is asked.
    """
    if form.number and isinstance(value, int | float) and not isinstance(value, bool):
        if isinstance(value, float) and not (value.is_integer() and abs(value) <= EXACT):
            raise ValueError(NUMBER_ASKED)
        value = str(int(value))
    if value is None:
        return form.missing
    if not isinstance(value, str):
        raise ValueError(NUMBER_ASKED if form.number else ASKED)
    text = value.strip(SPACES)
    if not text or text == form.missing:
        return form.missing
    if form.number:
        text = re.sub(r"^(-?[0-9]+)\.0*$", r"\1", text)
    if not (_WHOLE if form.number else _NAMED).fullmatch(text):
        raise ValueError(NUMBER_ASKED if form.number else ASKED)
    return text


def canonical_sql(text: str, form: KeyForm = TEXT) -> str:
    """SQL: `canonical` of an SQL text; what cannot be meant stays as it is, see `unfit_sql`."""
    value = f"nullif(trim({text}), '')"
    if form.number:
        value = f"regexp_replace({value}, '^(-?[0-9]+)\\.0*$', '\\1')"
    return value if form.missing is None else f"coalesce({value}, {_literal(form.missing)})"


def unfit_sql(text: str, form: KeyForm = TEXT) -> str:
    """SQL: whether an SQL text cannot be meant as a key; a missing one can."""
    value = canonical_sql(text, form)
    known = "" if form.missing is None else f" and {value} <> {_literal(form.missing)}"
    return f"coalesce(not regexp_full_match({value}, {_literal(WHOLE if form.number else NAMED)}){known}, false)"


def asked(form: KeyForm) -> str:
    """What a key of this form must be, for people."""
    return NUMBER_ASKED if form.number else ASKED


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
