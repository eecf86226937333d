"""Every decision about the files to be written, from what was asked and what the file says; reads and writes nothing."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ml_assets.ingestion.readers import quote
from ml_assets.scaffold.errors import ScaffoldError
from ml_assets.scaffold.look import FEW, Column, Kind, Look
from ml_assets.scaffold.measure import Measured
from ml_assets.scaffold.names import looks_like_id, snake, stem, words
from ml_assets.scaffold.sizes import Training, cut, training_of, windows_of
from ml_assets.scaffold.wanted import TASKS, Wanted

SLICES, MEANS = 2, 3
"""So many slices and so many means of numbers are taken at most: a person adds what is worth it."""
CLUSTERS = 100
"""Entities from which on the bootstrap draws entities; with fewer it draws days."""


@dataclass(frozen=True)
class SourceColumn:
    """A column of the source: its name, and what the YAML says of it."""

    name: str
    said: Mapping[str, Any]
    words: str


@dataclass(frozen=True)
class Entity:
    """Who or what features are about."""

    key: str
    name: str
    thing: str
    table: str

    @property
    def about(self) -> str:
        """It in words."""
        named = self.thing.replace("_", " ")
        return f"{'An' if named[0] in 'aeiou' else 'A'} {named}."


@dataclass(frozen=True)
class Plan:
    """What the templates say."""

    model: str
    source: str
    file: Path
    address: str
    delimiter: str
    encoding: str
    task: str
    day: str
    first: date
    last: date
    days: int
    rows: int
    event: str
    time: str
    label: str
    label_mean: float
    raw_label: str
    columns: tuple[SourceColumn, ...]
    entities: tuple[Entity, ...]
    request: tuple[str, ...]
    known_after: tuple[str, ...]
    leaking: tuple[str, ...]
    slices: tuple[str, ...]
    means: tuple[str, ...]
    gappy: tuple[str, ...]
    unnamed: tuple[str, ...]
    windows: tuple[int, ...]
    horizon: int
    split: Mapping[str, int]
    training: Training
    cluster: str
    slice_tolerance: float
    port_offset: int
    quarantine_share: float
    quarantine_min_rows: int | None
    unlabelled: bool
    notes: tuple[str, ...]
    example: Mapping[str, Any]

    @property
    def spine(self) -> str:
        """The dbt model of labelled events."""
        return f"mart_{self.model}_spine"

    @property
    def staging(self) -> str:
        """The dbt model of all events."""
        return f"stg_{self.source}"

    @property
    def binary(self) -> bool:
        """Whether the label is 0 or 1."""
        return self.task == "binary"

    @property
    def names(self) -> dict[str, str]:
        """What people read about each column, by its name."""
        return {column.name: column.words for column in self.columns}


def source_name(wanted: Wanted) -> str:
    """The source: as asked for, else as the file is called; a model and its source need two names."""
    if wanted.source is not None:
        return wanted.source
    found = snake(wanted.file.stem) or wanted.name
    found = found if found[0].isalpha() else f"data_{found}"
    return found if found != wanted.name else f"{found}_events"


def plan(look: Look, measured: Measured, wanted: Wanted, project: Path, port_offset: int) -> Plan:
    """Decide everything.

    Raises:
        ScaffoldError: when a name is none, the task is none of the two, or the events fall on too few days.
    """
    check(wanted)
    roles = _roles(look, measured, wanted)
    windows = windows_of((measured.last - measured.first).days + 1)
    split = cut(measured.days, windows, wanted.horizon_days)
    source = source_name(wanted)
    columns = tuple(_columns(look, measured, wanted, roles))
    bad = measured.undated + measured.repeated
    share = bad / look.rows
    label = look.column(wanted.label)
    crowded = measured.undated and measured.undated + measured.first_rows >= 200
    cluster = look.column(wanted.entities[0])
    return Plan(
        model=wanted.name, source=source, file=wanted.file, address=_address(wanted.file, project),
        delimiter=look.delimiter, encoding=look.encoding, task=wanted.task,
        day=f"cast({measured.moment.sql} as date)", first=measured.first, last=measured.last, days=measured.days,
        rows=look.rows, event=roles.event, time=look.column(wanted.time).name, label=label.name,
        label_mean=_rounded(measured.label.mean), raw_label=label.raw, columns=columns,
        entities=tuple(_entity(look.column(key), wanted) for key in wanted.entities),
        request=roles.request, known_after=roles.known_after, leaking=roles.leaking, slices=roles.slices,
        means=roles.request[:MEANS], gappy=tuple(column.name for column in look.columns if column.missing),
        unnamed=tuple(look.column(key).name for key in wanted.entities if look.column(key).missing),
        windows=windows, horizon=wanted.horizon_days, split=split,
        training=training_of(look.rows),
        cluster=cluster.name if cluster.distinct >= CLUSTERS else "event_day",
        slice_tolerance=0.03 if wanted.task == "binary" else _rounded(measured.label.spread / 20),
        port_offset=port_offset, quarantine_share=max(0.01, math.ceil(share * 150) / 100),
        quarantine_min_rows=1000 * math.ceil((measured.undated + measured.first_rows) / 1000) if crowded else None,
        unlabelled=measured.unlabelled > 0, notes=tuple(_notes(look, measured, wanted, roles)),
        example={name: value for name, value in measured.example.items() if name in roles.asked},
    )  # fmt: skip


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


def _roles(look: Look, measured: Measured, wanted: Wanted) -> Roles:
    late = [look.column(name) for name in wanted.known_after]
    keys = [look.column(name) for name in wanted.entities]
    taken = [*keys, look.column(wanted.time), look.column(wanted.label)]
    if len({column.raw for column in [*taken, *late]}) < len([*taken, *late]):
        raise ScaffoldError("entity, time, label and known-after are different columns; one is named twice")
    event = _event(look, wanted, taken)
    rest = [column for column in look.columns if column not in [*taken, *late] and column is not event]
    constant = [column for column in rest if column.distinct < 2 and not column.missing or not column.distinct]
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
            raise ScaffoldError(f"{column.raw} has {column.distinct:,} values in {look.rows:,} rows: it is no event's id")
        return column
    unique = [column for column in look.columns if column.distinct == look.rows and column not in taken]
    whole = [column for column in unique if column.kind in {Kind.WHOLE, Kind.TEXT} and looks_like_id(column.name)]
    return next(iter([*whole, *(column for column in unique if column.kind is Kind.TEXT)]), None)


def _free(name: str, taken: set[str]) -> str:
    return name if name not in taken else _free(f"row_{name}", taken)


def _columns(look: Look, measured: Measured, wanted: Wanted, roles: Roles) -> Iterator[SourceColumn]:
    time, label = look.column(wanted.time).name, look.column(wanted.label).name
    keys = {look.column(key).name for key in wanted.entities}
    if roles.made_up:
        parts = ", ".join(f"coalesce({_raw(column)}, '')" for column in look.columns)
        yield SourceColumn(roles.event, {"from": f"md5(concat_ws('|', {parts}))", "type": "VARCHAR",
                                         "description": "identifies the event"}, "Identity of the event (text)")  # fmt: skip
    for column in look.columns:
        if column.raw in roles.constant:
            continue
        about = words(column.raw)
        if column.name == roles.event:
            yield SourceColumn(column.name, {"from": _raw(column), "type": "VARCHAR", "description": "identifies the event"},
                               "Identity of the event (text)")  # fmt: skip
        elif column.name == time:
            how = measured.moment
            direct = column.kind is Kind.MOMENT and not column.unknown
            yield SourceColumn(column.name, {"from": _raw(column) if direct else how.sql, "type": "TIMESTAMP",
                                             "description": "when the prediction is wanted"},
                               "When the prediction is wanted")  # fmt: skip
        elif column.name == label:
            yield _label(column, measured, wanted)
        else:
            text = column.name in keys
            said: dict[str, Any] = {"from": _raw(column) if text else column.from_sql}
            said |= {"type": "VARCHAR" if text else column.type, "description": about}
            said |= {"nullable": True} if column.missing else {}
            low = column.low is not None and not text and column.low >= 0
            said |= {"min": 0} if low else {"min": 0, "max": 1} if column.kind is Kind.FLAG and not text else {}
            yield SourceColumn(column.name, said, _described(column, about, text=text))


def _label(column: Column, measured: Measured, wanted: Wanted) -> SourceColumn:
    said: dict[str, Any] = {"from": measured.label.sql, "type": "INTEGER" if wanted.task == "binary" else "DOUBLE"}
    said |= {"description": words(column.raw)} | ({"nullable": True} if measured.unlabelled else {})
    said |= {"min": 0, "max": 1} if wanted.task == "binary" else {}
    late = "the day after" if wanted.horizon_days == 1 else f"{wanted.horizon_days} days later"
    kind = "1 or 0" if wanted.task == "binary" else "number"
    return SourceColumn(column.name, said, f"The label: {words(column.raw)} ({kind}); known {late}")


def _described(column: Column, about: str, *, text: bool) -> str:
    about = about[:1].upper() + about[1:]
    if text:
        return f"{about} (text)" + ("; unknown where the file does not say" if column.missing else "")
    if column.kind is Kind.FLAG:
        return f"{about} (1 yes, 0 no)"
    if column.low is not None and column.high is not None:
        return f"{about} ({_short(column.low)} to {_short(column.high)} in the file)"
    if column.distinct <= FEW and column.kind is Kind.TEXT:
        return f"{about} ({', '.join(column.values)})"[:90]
    return f"{about} ({column.kind})"


def _short(number: float) -> str:
    return f"{number:,.0f}".replace(",", " ") if number == round(number) else f"{number:.4g}"


def _entity(column: Column, wanted: Wanted) -> Entity:
    thing = stem(column.name)
    name = f"{wanted.name}_{thing}"
    return Entity(column.name, name, thing, f"feat_{name}")


def _raw(column: Column) -> str:
    return column.raw if column.raw == column.name else quote(column.raw)


def _address(file: Path, project: Path) -> str:
    """The file's address: beneath the project as `{project}/...`, else its path."""
    whole = Path(os.path.abspath(file))  # as it was named: a link stays a link
    inside = whole.is_relative_to(project)
    return f"{{project}}/{whole.relative_to(project)}" if inside else str(whole)


def _rounded(number: float) -> float:
    """To two significant digits."""
    return float(f"{number:.2g}")


def _notes(look: Look, measured: Measured, wanted: Wanted, roles: Roles) -> Iterator[str]:
    """What the owner should know before anything runs."""
    if measured.undated:
        yield f"{measured.undated:,} rows have no {wanted.time}: they go to quarantine"
    if measured.repeated:
        yield f"{measured.repeated:,} rows repeat another one: they go to quarantine as duplicates"
    if measured.nameless:
        yield f"{measured.nameless:,} rows have no {' or '.join(wanted.entities)}: they count as 'unknown'"
    if measured.unlabelled:
        yield f"{measured.unlabelled:,} rows have no {wanted.label}: they count as events, and are no examples"
    if wanted.task == "binary" and measured.label.rarer < 100:
        yield f"only {measured.label.rarer} rows have the rarer {wanted.label}: expect wide intervals"
    for name in roles.leaking:
        yield f"WARNING {name} alone tells {wanted.label} ({measured.leaks[name]:.3f}): put under known_after, not learned from"
    if roles.constant:
        yield f"left out, one value only: {', '.join(roles.constant)}"
    if roles.unused:
        yield f"not learned from (texts, times): {', '.join(roles.unused)}; a text becomes a feature as a further --entity"
    if not roles.request:
        yield "no number is known with the event: the model has the history of its entities only"


def check(wanted: Wanted) -> None:
    """Refuse a task or a name that is none.

    Raises:
        ScaffoldError: saying what would do.
    """
    if wanted.task == "ranking":
        raise ScaffoldError("rankings are made of a shop's events, not of a table: see docs/how-to/sources.md and shops/")
    if wanted.task not in TASKS:
        raise ScaffoldError(f"--task {wanted.task}: binary or regression")
    for flag, name in (("--name", wanted.name), ("--source", wanted.source)):
        if name is not None and (not name or snake(name) != name or not name[0].isalpha()):
            raise ScaffoldError(f"{flag} {name!r}: lower-case letters, digits and _, e.g. {snake(name) or 'no_show'}")
    if wanted.source == wanted.name:
        raise ScaffoldError(f"--source {wanted.source}: a model and its source need two names")
    if wanted.horizon_days < 1:
        raise ScaffoldError(f"--horizon-days {wanted.horizon_days}: 1 or more")
    if not wanted.entities:
        raise ScaffoldError("--entity: name at least one column that features are about")
