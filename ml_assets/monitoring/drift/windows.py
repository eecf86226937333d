"""Which rows and days are judged, and which they are compared with."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import duckdb
import numpy as np
from numpy.typing import NDArray

from ml_assets.config.model_spec import DriftSpec, ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.monitoring.drift.psi import GROUPS, BoolArray, Mixed
from ml_assets.monitoring.population import population_of
from ml_assets.monitoring.reports import Report
from ml_assets.prediction_log import days_with_traffic, open_days
from ml_assets.registry.release import Arm

LEAST_CUSTOMERS = 20
"""A day with fewer customers says nothing about their kind, however many rows they have."""

UNREADABLE = "features"
"""Degraded: the answer was made without features."""

_ANSWERS = f"""
create temp view answers as
select *, time::date as day, list_contains(degraded, '{UNREADABLE}') as featureless
from predictions
where arm in ('{Arm.CHAMPION}', '{Arm.CANARY}', '{Arm.SHADOW}')
"""
_VERSION = f"""
select model_version from answers
where day = $day and arm <> '{Arm.SHADOW}'
group by all order by count(*) desc, model_version limit 1
"""
_VOLUMES = """
with lists as (
    select prediction_id, count(*) as rows from shown group by all
)
select model_version, day,
    coalesce(sum(rows) filter (not featureless), 0)::bigint,
    count(*) filter (not featureless),
    count(distinct {unit}) filter (not featureless),
    count(*) filter (featureless),
    max(as_of)
from answers left join lists using (prediction_id)
where model_version is not null
group by all order by day, model_version
"""
_REQUESTS = """
create temp view requests as
select {place}, {asked} from answers where {made} and not featureless
"""
_TRAFFIC = f"""
create temp view traffic as
select {{place}}, (hash({{kin}}) % {GROUPS})::utinyint as kin, hash({{row}}) as draw, {{columns}}
from (select *, time::date as day from shown)
where {{made}} and arm in ('{Arm.CHAMPION}', '{Arm.CANARY}', '{Arm.SHADOW}')
    and prediction_id not in (select prediction_id from answers where featureless)
"""


class Volume(Report):
    """How much traffic of a version a day had: rows (shown products, events), answers, and customers or events.

    `featureless` answers were made while the online store could not be read; they are in none of the others.
    `as_of` is what the features knew that day.
    """

    version: str = ""
    day: date
    rows: int
    answers: int
    customers: int
    featureless: int
    as_of: datetime


@dataclass(frozen=True)
class Days:
    """The days that are judged and those they are compared with, ascending.

    `left_out` were days of the reference's time that had drifted themselves; `as_of` is what the features knew
    on each of the reference's days (nothing said: each day something else). `versions` made the answers of each day.
    """

    windows: tuple[date, ...]
    reference: tuple[date, ...]
    left_out: tuple[date, ...]
    as_of: tuple[datetime, ...] = ()
    versions: tuple[str, ...] = field(default=(), compare=False)

    @property
    def all(self) -> tuple[date, ...]:
        """The reference's days, then the judged ones."""
        return (*self.reference, *self.windows)

    @property
    def nth(self) -> NDArray[np.int64]:
        """Days since the first one, of each."""
        return np.array([(day - self.all[0]).days for day in self.all])


def traffic_days(settings: Settings, model: str, day: date, spec: DriftSpec) -> list[date]:
    """The newest published days with answers up to `day`, as many as could be needed."""
    wanted = 2 * (spec.reference_days + spec.windows)
    return days_with_traffic(settings, model, day - timedelta(days=2 * wanted), day)[-wanted:]


@dataclass(frozen=True)
class Traffic:
    """The version that made most of the answers shown on a day (none: None), its days, and the days before its first.

    A version's shadow answers count as its traffic: it made them from the same requests. Of a day before its first one
    the version counts that answered most.
    """

    version: str | None = None
    own: tuple[Volume, ...] = ()
    before: tuple[Volume, ...] = ()


def volumes_of(settings: Settings, spec: ModelSpec, days: Sequence[date], day: date) -> Traffic:
    """The traffic of the version that answered on `day`, and of those before it, on these days."""
    with _open(settings, spec.name, days) as connection:
        found = connection.execute(_VERSION, {"day": day}).fetchone()
        if found is None:
            return Traffic()
        rows = connection.execute(_VOLUMES.format(unit=population_of(spec).unit)).fetchall()
    volumes = [Volume(**dict(zip(Volume.model_fields, row, strict=True))) for row in rows]
    own = tuple(each for each in volumes if each.version == found[0])
    earlier = sorted((each for each in volumes if each.day < own[0].day), key=lambda each: (each.day, each.answers))
    return Traffic(found[0], own, tuple({each.day: each for each in earlier}.values()))


def choose_days(
    volumes: Sequence[Volume],
    spec: DriftSpec,
    alarmed: Collection[date],
    *,
    rests: bool = False,
    windows: int | None = None,
) -> Days | None:
    """The newest days as windows and the days before them as reference; None when these are too few.

    While traffic is young, fewer windows are judged, so that the reference keeps `min_reference_days`. Days
    that drifted themselves are left out of the reference as long as it stays usable: a change is news until the
    model was made anew or all days that are compared with have changed.

    Args:
        volumes: days with enough traffic, ascending; the newest is the day in question.
        spec: how many days of each.
        alarmed: days that drifted against their own reference.
        rests: features that were never refreshed, on none of all these days, are no obstacle.
        windows: how many days are judged at most, where that is fewer than `spec.windows`.
    """
    judged = min(windows or spec.windows, spec.windows, len(volumes) - spec.min_reference_days)
    if judged < 1:
        return None
    before = volumes[:-judged][-spec.reference_days :]
    usual = [each for each in before if each.day not in alarmed]
    rests = rests and not _moves(volumes[-judged - len(before) :])
    kept = usual if len(usual) >= spec.min_reference_days and (rests or _moves(usual)) else before
    if not (rests or _moves(kept)):
        return None
    return Days(
        windows=tuple(each.day for each in volumes[-judged:]),
        reference=tuple(each.day for each in kept),
        left_out=tuple(each.day for each in before if each not in kept),
        as_of=() if rests else tuple(each.as_of for each in kept),
        versions=tuple(each.version for each in (*kept, *volumes[-judged:])),
    )


def _moves(volumes: Sequence[Volume]) -> bool:
    """Whether the features were refreshed in between: else nobody knows how far a usual day's lie apart."""
    return len({each.as_of for each in volumes}) > 1


def compared_with(days: Days) -> BoolArray:
    """[T, D] which reference days each day is compared with.

    Days of the same weekday, where the reference has at least two of them; else all. A day of the reference
    only with those on which the features knew something else: what they show is what a refresh does.
    """
    same = _same_weekday(days)
    chosen: BoolArray = np.where((same.sum(axis=1) >= 2)[:, None], same, True)
    other = _refreshed(days)
    own: BoolArray = chosen[: len(other)] & other
    chosen[: len(other)] = np.where(np.any(own, axis=1)[:, None], own, other)
    return chosen


def mixed_days(days: Days, compared: BoolArray) -> Mixed:
    """Which days are compared with other weekdays, and how far those of the reference lie apart."""
    same = _same_weekday(days)
    usual = _refreshed(days) & ~same[: len(days.reference)]
    return Mixed(days=np.any(compared & ~same, axis=1), usual=usual)


def _same_weekday(days: Days) -> BoolArray:
    """[T, D]."""
    weekday = np.array([day.weekday() for day in days.all])
    same: BoolArray = weekday[:, None] == weekday[None, : len(days.reference)]
    return same


def _refreshed(days: Days) -> BoolArray:
    """[D, D] whether the features of two reference days knew something else."""
    as_of = np.array(days.as_of or days.reference, dtype="datetime64[us]")
    other: BoolArray = as_of[:, None] != as_of[None, :]
    return other


def open_traffic(settings: Settings, spec: ModelSpec, days: Days, columns: Sequence[str]) -> duckdb.DuckDBPyConnection:
    """A connection with the views `traffic` (shown products, or events) and `requests` of these days' versions.

    Both have `nth` (days since the first) and `grp` (group of units). `traffic` has `kin` (group of
    those that share features), `draw` (a fixed random number) and the columns; one that the log does not have is
    missing throughout.
    """
    connection, of = _open(settings, spec.name, days.all), population_of(spec)
    known = {name for (name,) in connection.execute("select column_name from (describe shown)").fetchall()}
    listed = ", ".join(f'"{name}"' if name in known else f'null::float as "{name}"' for name in columns)
    place = f"(day - date '{days.all[0]}')::smallint as nth, (hash({of.unit}) % {GROUPS})::utinyint as grp"
    by = zip(days.all, (version.replace("'", "''") for version in days.versions), strict=True)
    pairs = ", ".join(f"(date '{day}', '{version}')" for day, version in by)
    made = f"(day, model_version) in ({pairs})"
    connection.execute(_REQUESTS.format(place=place, made=made, asked=", ".join(("prediction_id", *of.asked))))
    connection.execute(_TRAFFIC.format(place=place, made=made, columns=listed, kin=of.kin, row=of.row))
    return connection


def _open(settings: Settings, model: str, days: Sequence[date]) -> duckdb.DuckDBPyConnection:
    """The days' tables with the view `answers`: what models made."""
    connection = open_days(settings, model, days)
    connection.execute("set enable_progress_bar = false")  # on in spawned processes, which look interactive
    connection.execute(_ANSWERS)
    return connection
