"""Identifier hygiene: what the columns of somebody's file are called in SQL, YAML and requests."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache

OURS = frozenset(
    {
        "event_day", "event_timestamp", "split", "place", "day", "now", "cut", "spine",  # of training sets
        "event", "time",  # of requests
        "events", "outcomes", "days", "known", "arrived", "windowed", "history", "timeline", "change_points",  # of SQL
    }
)  # fmt: skip
"""Names that mean something where the columns end up."""
YAML = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
"""Words that YAML does not take for text."""
ID_WORDS = ("id", "key", "no", "nr", "number", "uuid")
CODES = ("code", "ref", "sku")


@cache
def keywords() -> frozenset[str]:
    """Words that SQL does not take as a column's name."""
    import duckdb

    words = "select keyword_name from duckdb_keywords() where keyword_category in ('reserved', 'type_function')"
    with duckdb.connect() as connection:
        found = connection.execute(words).fetchall()
    return frozenset(name for (name,) in found)


def snake(text: str) -> str:
    """A text as lower-case words of ASCII letters and digits, `_` between; empty when nothing is left of it."""
    parted = re.sub(r"([a-z0-9])([A-Z])|([A-Z]+)([A-Z][a-z])", r"\1\3_\2\4", text.strip())
    plain = unicodedata.normalize("NFKD", parted.casefold()).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")


def identifiers(raw: Iterable[str]) -> dict[str, str]:
    """A name for each column: snake case, no keyword, none of ours, none twice.

    A column that needs no other name keeps its own, also where another one becomes the same.
    """
    given = list(raw)
    found = {name: name for name in given if _fits(name)}
    for at, name in enumerate(given, 1):
        if name not in found:
            found[name] = _free(snake(name) or f"column_{at}", set(found.values()))
    return {name: found[name] for name in given}


def _fits(name: str) -> bool:
    return re.fullmatch(r"[a-z][a-z0-9_]*", name) is not None and name not in OURS | YAML | keywords()


def _free(wanted: str, taken: set[str]) -> str:
    name = wanted if wanted[0].isalpha() else f"n_{wanted}"
    name = name if _fits(name) else f"{name}_value"
    numbered = (f"{name}_{at}" for at in range(2, len(taken) + 3))
    return name if name not in taken else next(other for other in numbered if other not in taken)


def looks_like_id(name: str) -> bool:
    """Whether a column's name says that it identifies something."""
    return name.rpartition("_")[2] in {*ID_WORDS, *CODES}


def stem(key: str) -> str:
    """What a join key identifies: `patient` of `patient_id`."""
    head, _, tail = key.rpartition("_")
    return head if head and tail in ID_WORDS else key


def words(raw: str) -> str:
    """What a column is called, for people: a name of code as words, any other as it is."""
    return raw.replace("_", " ") if raw == snake(raw) else " ".join(raw.split())
