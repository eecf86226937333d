"""Which column is what: the event's id, a number of the request, a slice, known too late, of no use."""

from __future__ import annotations

from dataclasses import dataclass

from ml_assets.scaffold.errors import ScaffoldError
from ml_assets.scaffold.kinds import Kind
from ml_assets.scaffold.label_stats import Measured
from ml_assets.scaffold.names import looks_like_id, stem
from ml_assets.scaffold.options import Wanted, source_name
from ml_assets.scaffold.profile import Look
from ml_assets.scaffold.raw_column import FEW, Column

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
        ScaffoldError: when one column is named for two roles.
    """
    late = [look.column(name) for name in wanted.known_after]
    keys = [look.column(name) for name in wanted.entities]
    taken = [*keys, look.column(wanted.time), look.column(wanted.label)]
    if len({column.raw for column in [*taken, *late]}) < len([*taken, *late]):
        raise ScaffoldError("entity, time, label and known-after are different columns; one is named twice")
    event = measured.identity.column
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


def _free(name: str, taken: set[str]) -> str:
    return name if name not in taken else _free(f"row_{name}", taken)
