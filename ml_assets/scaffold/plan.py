"""Every decision about the files, from what was asked and what the file says; reads and writes nothing."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ml_assets.config.keys import TEXT, asked
from ml_assets.scaffold.columns import SourceColumn, source_columns
from ml_assets.scaffold.errors import ScaffoldError
from ml_assets.scaffold.identity import JUDGED
from ml_assets.scaffold.kinds import shown
from ml_assets.scaffold.label_stats import Measured
from ml_assets.scaffold.names import stem
from ml_assets.scaffold.options import Wanted, check, source_name
from ml_assets.scaffold.profile import Look
from ml_assets.scaffold.raw_column import Column
from ml_assets.scaffold.roles import Roles, roles_of
from ml_assets.scaffold.sizes import Training, cut, oldest, training_of, windows_of

MEANS = 3
"""So many means of numbers become features: a person adds what is worth it."""
MOST = 0.5
"""Share of rows in quarantine from which on something else is wrong than these rows."""
CLUSTERS = 100
"""Entities from which on the bootstrap draws entities; with fewer it draws days."""


@dataclass(frozen=True)
class Entity:
    """Who or what features are about; whether its key is a whole number, and whether some rows have none."""

    key: str
    name: str
    thing: str
    table: str
    number: bool
    missing: bool

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
    max_age_days: int
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


def plan(look: Look, measured: Measured, wanted: Wanted, project: Path, port_offset: int) -> Plan:
    """Decide everything.

    Raises:
        ScaffoldError: when a name is none, the task is none of the two, or the events fall on too few days.
    """
    check(wanted)
    roles = roles_of(look, measured, wanted)
    span = (measured.last - measured.first).days + 1
    windows = windows_of(span)
    horizon = wanted.horizon_days or 1
    split = cut(measured.days, windows, horizon)
    source = source_name(wanted)
    columns = tuple(source_columns(look, measured, wanted, roles))
    astray = measured.undated + measured.far + look.apart
    share = max(_bad(look, measured, wanted) / look.rows, measured.identity.worst)
    label = look.column(wanted.label)
    crowded = astray and astray + measured.first_rows >= JUDGED
    cluster = look.column(wanted.entities[0])
    return Plan(
        model=wanted.name, source=source, file=wanted.file, address=_address(wanted.file, project),
        delimiter=look.delimiter, encoding=look.encoding, task=wanted.task,
        day=f"cast({measured.moment.sql} as date)", first=measured.first, last=measured.last, days=measured.days,
        rows=look.rows, event=roles.event, time=look.column(wanted.time).name, label=label.name,
        label_mean=_rounded(measured.label.mean), columns=columns,
        entities=_entities([look.column(key) for key in wanted.entities], wanted.name),
        request=roles.request, known_after=roles.known_after, leaking=roles.leaking, slices=roles.slices,
        means=tuple(name for name in roles.request if not name.endswith("_known"))[:MEANS],
        gappy=tuple(column.name for column in look.columns if column.missing),
        unnamed=tuple(look.column(key).name for key in wanted.entities if look.column(key).missing),
        windows=windows, horizon=horizon, split=split,
        max_age_days=oldest(split, horizon, measured.days, span),
        training=training_of(look.rows),
        cluster=cluster.name if cluster.distinct >= CLUSTERS else "event_day",
        slice_tolerance=0.03 if wanted.task == "binary" else _rounded(measured.label.spread / 20),
        port_offset=port_offset, quarantine_share=min(max(0.01, math.ceil(share * 150) / 100), 1.0),
        quarantine_min_rows=1000 * math.ceil((astray + measured.first_rows) / 1000) if crowded else None,
        unlabelled=measured.unlabelled > 0,
        notes=(
            *_reading(look, measured, wanted, roles), *_notes(look, measured, wanted, roles),
            *_assumed(look, measured, wanted, roles),
        ),
        example={name: value for name, value in measured.example.items() if name in {"event", *roles.asked}},
    )  # fmt: skip


def _bad(look: Look, measured: Measured, wanted: Wanted) -> int:
    """Rows that will go to quarantine.

    Raises:
        ScaffoldError: when they are most of the file; it counts them.
    """
    counts = {
        "lines that are no rows": look.apart,
        f"without a {wanted.time} that is read": measured.undated,
        f"with a {wanted.time} far from all others": measured.far,
        "with a value that is not of its column's kind": measured.misfits,
        f"with a {' or '.join(wanted.entities)} that no request can name": measured.unfit,
        "with the id of another one": measured.identity.repeated,
    }
    if sum(counts.values()) > MOST * look.rows:
        told = "; ".join(f"{count:,} {what}" for what, count in counts.items() if count)
        raise ScaffoldError(f"most of the {look.rows:,} rows would go to quarantine: {told}")
    return sum(counts.values())


def _entities(keys: list[Column], model: str) -> tuple[Entity, ...]:
    """What each key names: `patient` for `patient_id`, unless another key is of that name."""
    stems = [stem(key.name) for key in keys]
    things = [thing if stems.count(thing) == 1 else key.name for thing, key in zip(stems, keys, strict=True)]
    named = ((key, thing, f"{model}_{thing}") for key, thing in zip(keys, things, strict=True))
    return tuple(
        Entity(key.name, name, thing, f"feat_{name}", key.numbered, key.missing > 0) for key, thing, name in named
    )


def _address(file: Path, project: Path) -> str:
    """The file's address: beneath the project as `{project}/...`, else its path."""
    whole = Path(os.path.normpath(Path.cwd() / file))  # a link stays a link
    inside = whole.is_relative_to(project)
    return f"{{project}}/{whole.relative_to(project)}" if inside else str(whole)


def _rounded(number: float) -> float:
    """To two significant digits."""
    return float(f"{number:.2g}")


def _assumed(look: Look, measured: Measured, wanted: Wanted, roles: Roles) -> Iterator[str]:
    """What was taken for granted: how an event and its entities are called, when its label is known."""
    if roles.made_up:
        called = f"its caller names it as {measured.identity.words}, e.g. {measured.example['event']}"
        yield f"no column identifies an event: {called} (an id of the file's own is better: --id)"
    for key in map(look.column, wanted.entities):
        if key.odd:
            found = f"nearly all are whole numbers, not all (e.g. {', '.join(key.odd)})"
            yield f"{key.raw} is taken as texts, as they are written: {found}; 8.0 is not 8"
    if wanted.horizon_days is None:
        yield "--horizon-days was not said: a label counts as known at the midnight after its event; is it known later?"


def _notes(look: Look, measured: Measured, wanted: Wanted, roles: Roles) -> Iterator[str]:
    """What the owner should know before anything runs."""
    if measured.undated:
        yield f"{measured.undated:,} rows have no {wanted.time} that is a time: they go to quarantine"
    if measured.identity.repeated:
        yield f"{measured.identity.repeated:,} rows repeat another one: they go to quarantine as duplicates"
    if measured.nameless:
        yield f"{measured.nameless:,} rows have no {' or '.join(wanted.entities)}: they count as 'unknown'"
    if measured.unfit:
        yield f"{measured.unfit:,} rows have a {' or '.join(wanted.entities)} that no request can name: {asked(TEXT)}"
    if measured.unlabelled:
        told = "they count as events and are predicted, but are no examples"
        yield f"{measured.unlabelled:,} rows have no {wanted.label}: {told}"
    if wanted.task == "regression" and look.column(wanted.label).distinct == 2:
        two = " and ".join(sorted(look.column(wanted.label).values[:2]))
        yield f"{wanted.label} has two values, {two}: --task binary says how likely one of them is"
    if wanted.task == "binary" and measured.label.rarer < 100:
        yield f"only {measured.label.rarer} rows have the rarer {wanted.label}: expect wide intervals"
    for name in roles.leaking:
        strength = f"{wanted.label} ({measured.leaks[name]:.3f})"
        yield f"WARNING {name} alone tells {strength}: put under post_outcome_columns, not learned from"
    if roles.constant:
        yield f"left out, one value only: {', '.join(roles.constant)}"
    if roles.unused:
        yield f"not learned from: {', '.join(roles.unused)}; a text becomes features as a further --entity"
    if not roles.request:
        yield "no number is known with the event: the model has the history of its entities only"


def _reading(look: Look, measured: Measured, wanted: Wanted, roles: Roles) -> Iterator[str]:
    """How the file is read, and which of its values are not of their column's kind."""
    yield from look.notes
    yield from measured.moment.notes
    if measured.far:
        some = f"{measured.far:,} rows of {wanted.time} lie far from all others, e.g. {', '.join(measured.far_shown)}"
        yield f"{some}: they go to quarantine; the calendar is {measured.first} to {measured.last}"
    named = {look.column(key).name for key in wanted.entities} | {roles.event, look.column(wanted.time).name}
    for column in look.columns:
        if column.name in named:
            continue
        if column.misfits:
            among = f"{column.misfits:,} of {look.rows - column.missing:,} values of {column.raw} are no {column.kind}"
            yield f"{among}, e.g. {shown(column.misfit)}: their rows go to quarantine"
        if column.spoiled and not (wanted.task == "binary" and column is look.column(wanted.label)):
            yield f"{column.raw} is a text and no number: {column.spoiled}"
