"""What the spine tells before anything is trained: can its labels be learned from, and are its days enough."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from ml_assets.config.model_spec import ModelSpec, Task
from ml_assets.config.numbers import MOST
from ml_assets.datasets.calendar import decisions_of, split_now

SHOWN = 5
"""Different values of a label that are shown."""
CUT = 40
"""Characters of a value that are shown."""
YES = frozenset(("1", "true", "t", "yes", "y", "ja", "j", "oui", "si", "sí", "sim", "tak", "da"))
"""Words for 1, which come first in the SQL that is proposed."""


def labelled_rows(spec: ModelSpec, warehouse: duckdb.DuckDBPyConnection) -> int:
    """Rows of the spine that have a label.

    Raises:
        ValueError: when there is no such table or column.
    """
    try:
        found = warehouse.execute(f"select count({spec.label}) from {spec.spine}").fetchone()
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        raise ValueError(f"{spec.spine} with a column {spec.label} is not in the warehouse") from error
    return int(found[0]) if found else 0


def label_number(spec: ModelSpec) -> str:
    """SQL over the spine: the label as a number, null where it is none."""
    return f"try_cast({spec.label} as double)"


def check_labels(spec: ModelSpec, warehouse: duckdb.DuckDBPyConnection) -> None:
    """Refuse a spine of labelled events whose labels are not what the task learns from.

    Raises:
        ValueError: with the values found, how often, and the SQL that helps.
    """
    number = label_number(spec)
    words = _found(spec, warehouse, f"{number} is null")
    if words:
        raise ValueError(f"{_said(spec, words)}; {_remedy(spec, [word for word, _ in words])}")
    far = _found(spec, warehouse, f"not (abs({number}) <= {MOST!r})")
    if far:
        raise ValueError(f"{_said(spec, far)}; a label is a finite number of up to {MOST:.3g}")
    odd = _found(spec, warehouse, f"{number} not in (0, 1)") if spec.task is Task.BINARY else []
    if odd:
        raise ValueError(f"{_said(spec, odd)}; a binary label is 0 or 1: write it so in the SQL of {spec.spine}")


def check_days(spec: ModelSpec, warehouse: duckdb.DuckDBPyConnection) -> str:
    """See that the spine has enough days for the split; returns how many each part would have.

    Raises:
        ValueError: with a split that fits the days there are, when one does.
    """
    try:
        parts = split_now(warehouse, spec).items()
    except duckdb.CatalogException as error:
        raise ValueError(f"not judged: {error}") from error
    counts = {part: sum(1 for each, _ in parts if each is part) for part, _ in parts}
    said = ", ".join(f"{part.value}: {count}" for part, count in counts.items())
    return f"{len(decisions_of(warehouse, spec))} days with labels are enough for the split: {said}"


def _found(spec: ModelSpec, warehouse: duckdb.DuckDBPyConnection, condition: str) -> list[tuple[str, int]]:
    """Labels that are such, the most frequent first, and in how many rows each is."""
    return warehouse.execute(
        f"select cast({spec.label} as varchar) as value, count(*) from {spec.spine} "
        f"where {spec.label} is not null and {condition} group by value order by count(*) desc, value"
    ).fetchall()


def _said(spec: ModelSpec, found: Sequence[tuple[str, int]]) -> str:
    shown = ", ".join(f"{value[:CUT]!r} in {rows:,} rows" for value, rows in found[:SHOWN])
    more = f" and {len(found) - SHOWN:,} other values" if len(found) > SHOWN else ""
    return f"{spec.spine}: {spec.label} is {shown}{more}"


def _remedy(spec: ModelSpec, words: Sequence[str]) -> str:
    """What to do about labels that are no numbers."""
    if spec.task is not Task.BINARY:
        return (
            f"a label is a number: cast it in the SQL of {spec.spine}, "
            f"`try_cast({spec.label} as double) as {spec.label}` makes what is none a row without a label"
        )
    meant = sorted({word.strip().lower() for word in words}, key=lambda word: (word not in YES, word))
    if len(meant) > 2:
        return f"a binary label is 0 or 1: write it so in the SQL of {spec.spine}"
    cases = " ".join(f"when {_literal(word)} then {1 - at}" for at, word in enumerate(meant))
    text = f"lower(trim(cast({spec.label} as varchar)))"
    sql = f"case {text} {cases} else try_cast({spec.label} as integer) end as {spec.label}"
    return f"a binary label is 0 or 1: cast it in the SQL of {spec.spine}, `{sql}`, with 1 for what is to be predicted"


def _literal(word: str) -> str:
    return "'" + word.replace("'", "''") + "'"
