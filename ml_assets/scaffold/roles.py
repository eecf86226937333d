"""Which column is what: the event's id, a number of the request, a slice, known too late, of no use."""

from __future__ import annotations

from dataclasses import dataclass

from ml_assets.scaffold.errors import ScaffoldError
from ml_assets.scaffold.look import FEW, Column, Kind, Look
from ml_assets.scaffold.measure import Measured
from ml_assets.scaffold.names import looks_like_id, stem
from ml_assets.scaffold.wanted import Wanted, source_name

LONGEST = 64
"""Characters of an id that a request may name."""
SLICES = 2
"""So many slices are taken at most: each one is a hurdle for a candidate, so a person adds what is worth it."""


@dataclass(frozen=True)
class Roles:
    """Which column is what; `asked` are those of a request, `unused` those the model has nothing of."""

    event: str
    made_up: bool
    request: tuple[str, ...]
    known_after: tuple[str, ...]
    leaking: tuple[str, ...]
    slices: tuple[str, ...]
    constant: tuple[str, ...]
    unused: tuple[str, ...]
    asked: tuple[str, ...]


def roles_of(look: Look, measured: Measured, wanted: Wanted) -> Roles:
    """Give each column its role.

    Raises:
        ScaffoldError: when one column is named for two roles, or the id that was asked for identifies nothing.
    """
    late = [look.column(name) for name in wanted.known_after]
    keys = [look.column(name) for name in wanted.entities]
    taken = [*keys, look.column(wanted.time), look.column(wanted.label)]
    if len({column.raw for column in [*taken, *late]}) < len([*taken, *late]):
        raise ScaffoldError("entity, time, label and known-after are different columns; one is named twice")
    event = _event(look, wanted, taken)
    rest = [column for column in look.columns if column not in [*taken, *late] and column is not event]
    constant = [column for column in rest if (column.distinct < 2 and not column.missing) or not column.distinct]
    rest = [column for column in rest if column not in constant]
    leaking = [column for column in rest if column.name in measured.leaks]
    rest = [column for column in rest if column not in leaking]
    request = [column.name for column in rest if column.numeric and not _identifies(column, look.rows)]
    texts = [column for column in rest if column.kind is Kind.TEXT]
    slices = [column.name for column in texts if 2 <= column.distinct <= FEW and not column.missing][:SLICES]
    unused = [column.name for column in rest if column.name not in {*request, *slices}]
    after = [column.name for column in [*late, *leaking]]
    return Roles(
        event.name if event else _free(f"{stem(source_name(wanted))}_id", {column.name for column in look.columns}),
        event is None, tuple(request), tuple(after), tuple(column.name for column in leaking), tuple(slices),
        tuple(column.raw for column in constant), tuple(unused), (*(column.name for column in keys), *request),
    )  # fmt: skip


def _identifies(column: Column, rows: int) -> bool:
    """A number that is a name: nearly each row has one of its own."""
    return looks_like_id(column.name) and column.distinct > 0.5 * rows


def _event(look: Look, wanted: Wanted, taken: list[Column]) -> Column | None:
    """The column that identifies an event: as asked for, else one with a value of its own in each row."""
    if wanted.event is not None:
        column = look.column(wanted.event)
        if column.distinct < look.rows:
            raise ScaffoldError(
                f"{column.raw} has {column.distinct:,} values in {look.rows:,} rows: it is no event's id"
            )
        return column
    unique = [column for column in look.columns if column.distinct == look.rows and column not in taken]
    whole = [column for column in unique if column.kind in {Kind.WHOLE, Kind.TEXT} and looks_like_id(column.name)]
    texts = [column for column in unique if column.kind is Kind.TEXT]
    tokens = [column for column in texts if all(len(v) <= LONGEST and " " not in v for v in column.values)]
    return next(iter([*whole, *tokens]), None)


def _free(name: str, taken: set[str]) -> str:
    return name if name not in taken else _free(f"row_{name}", taken)
