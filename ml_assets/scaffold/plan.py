"""Every decision about the files, from what was asked and what the file says; reads and writes nothing."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ml_assets.scaffold.columns import SourceColumn, source_columns
from ml_assets.scaffold.look import Look
from ml_assets.scaffold.measure import JUDGED, Measured
from ml_assets.scaffold.names import stem
from ml_assets.scaffold.roles import Roles, roles_of
from ml_assets.scaffold.sizes import Training, cut, training_of, windows_of
from ml_assets.scaffold.wanted import Wanted, check, source_name

MEANS = 3
"""So many means of numbers become features: a person adds what is worth it."""
CLUSTERS = 100
"""Entities from which on the bootstrap draws entities; with fewer it draws days."""


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


def plan(look: Look, measured: Measured, wanted: Wanted, project: Path, port_offset: int) -> Plan:
    """Decide everything.

    Raises:
        ScaffoldError: when a name is none, the task is none of the two, or the events fall on too few days.
    """
    check(wanted)
    roles = roles_of(look, measured, wanted)
    windows = windows_of((measured.last - measured.first).days + 1)
    split = cut(measured.days, windows, wanted.horizon_days)
    source = source_name(wanted)
    columns = tuple(source_columns(look, measured, wanted, roles))
    bad = measured.undated + measured.repeated
    share = max(bad / look.rows, measured.worst)
    label = look.column(wanted.label)
    crowded = measured.undated and measured.undated + measured.first_rows >= JUDGED
    cluster = look.column(wanted.entities[0])
    return Plan(
        model=wanted.name, source=source, file=wanted.file, address=_address(wanted.file, project),
        delimiter=look.delimiter, encoding=look.encoding, task=wanted.task,
        day=f"cast({measured.moment.sql} as date)", first=measured.first, last=measured.last, days=measured.days,
        rows=look.rows, event=roles.event, time=look.column(wanted.time).name, label=label.name,
        label_mean=_rounded(measured.label.mean), columns=columns,
        entities=_entities([look.column(key).name for key in wanted.entities], wanted.name),
        request=roles.request, known_after=roles.known_after, leaking=roles.leaking, slices=roles.slices,
        means=tuple(name for name in roles.request if not name.endswith("_known"))[:MEANS],
        gappy=tuple(column.name for column in look.columns if column.missing),
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


def _entities(keys: list[str], model: str) -> tuple[Entity, ...]:
    """What each key names: `patient` for `patient_id`, unless another key is of that name."""
    stems = [stem(key) for key in keys]
    things = [thing if stems.count(thing) == 1 else key for thing, key in zip(stems, keys, strict=True)]
    named = ((key, thing, f"{model}_{thing}") for key, thing in zip(keys, things, strict=True))
    return tuple(Entity(key, name, thing, f"feat_{name}") for key, thing, name in named)


def _address(file: Path, project: Path) -> str:
    """The file's address: beneath the project as `{project}/...`, else its path."""
    whole = Path(os.path.normpath(Path.cwd() / file))  # a link stays a link
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
        told = "they count as events and are predicted, but are no examples"
        yield f"{measured.unlabelled:,} rows have no {wanted.label}: {told}"
    if wanted.task == "binary" and measured.label.rarer < 100:
        yield f"only {measured.label.rarer} rows have the rarer {wanted.label}: expect wide intervals"
    for name in roles.leaking:
        strength = f"{wanted.label} ({measured.leaks[name]:.3f})"
        yield f"WARNING {name} alone tells {strength}: put under known_after, not learned from"
    if roles.constant:
        yield f"left out, one value only: {', '.join(roles.constant)}"
    if roles.unused:
        yield f"not learned from: {', '.join(roles.unused)}; a text becomes features as a further --entity"
    if not roles.request:
        yield "no number is known with the event: the model has the history of its entities only"
