"""Figures of predicted events by day, arm and version, and over a window of days: all rows, summed in SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import duckdb

from ml_assets.config.model_spec import ModelSpec, Task
from ml_assets.config.settings import Settings
from ml_assets.monitoring.population import population_of
from ml_assets.monitoring.quality.event_metrics import CalibrationBin, Interval, calibration, metrics, sample
from ml_assets.monitoring.quality.rates import Estimate, Moments
from ml_assets.monitoring.quality.skill import means, skills
from ml_assets.monitoring.quality.verdict import RECENT_DAYS
from ml_assets.monitoring.reports import Report
from ml_assets.monitoring.tables import WHOLE, published_days
from ml_assets.prediction_log import open_days
from ml_assets.registry.release import Arm

_ROWS = f"""
create temp table scored as
with answers as (
    select prediction_id, time::date as day, arm, coalesce(model_version, '') as version, {{unit}} as unit,
        event is not null as named, value
    from predictions
    where arm <> '{Arm.SHADOW}' and ({WHOLE} or arm not in ('{Arm.CHAMPION}', '{Arm.CANARY}'))
)

select answers.*, label
from answers
join (select prediction_id, time::date as day, label from shown) as known using (prediction_id, day)
"""
_COUNTS = """
select {keys}, count(*), count(*) filter (named), count(label), count(distinct unit) from {rows} group by {keys}
order by {keys}
"""
Key = tuple[date, str, str]


class EventDay(Report):
    """One version in one arm on one day; `mature` when its labels count as complete, figures of labelled rows."""

    day: date
    arm: str
    version: str
    mature: bool
    answers: int
    named: int
    labelled: int
    predicted: Estimate | None
    observed: Estimate | None
    skill: Estimate | None

    @property
    def key(self) -> Key:
        """What it is of."""
        return self.day, self.arm, self.version


class EventWindow(Report):
    """One version in one arm over the window's complete days; `gap` is the mean label less the mean prediction."""

    arm: str
    version: str
    answers: int
    named: int
    labelled: int
    events: int
    predicted: Estimate | None
    observed: Estimate | None
    gap: Estimate | None
    skill: Estimate | None
    metrics: dict[str, Interval]
    bins: tuple[CalibrationBin, ...]


@dataclass(frozen=True)
class Watched:
    """What was measured; `skills` by day, arm and version, where the day has one."""

    days: tuple[EventDay, ...]
    window: tuple[EventWindow, ...]
    skills: Mapping[Key, Moments]


def measure(spec: ModelSpec, settings: Settings, day: date, window_from: date, complete: date) -> Watched:
    """Measure every day that can matter, and the days from `window_from` to `complete` together."""
    reach = spec.monitoring.drift.reference_days + RECENT_DAYS + spec.delay_days
    days = published_days(settings, spec.name, day - timedelta(days=reach), day)
    binary = spec.task is Task.BINARY
    with open_days(settings, spec.name, days) as connection:
        connection.execute(_ROWS.format(unit=population_of(spec).unit))
        found = skills(connection, "scored", ["day", "arm", "version"], binary=binary)
        by_day = _days(connection, found, complete)
        within = f"day between date '{window_from}' and date '{complete}'"
        connection.execute(f"create temp table recent as select * from scored where {within}")
        window = _window(connection, spec, binary=binary)
    return Watched(by_day, window, {(day, arm, version): each for (day, arm, version), each in found.items()})


def _days(
    connection: duckdb.DuckDBPyConnection, skill: Mapping[tuple[object, ...], Moments], complete: date
) -> tuple[EventDay, ...]:
    keys = ["day", "arm", "version"]
    labels, values, _ = means(connection, "scored", keys)
    counted = connection.execute(_COUNTS.format(keys=", ".join(keys), rows="scored")).fetchall()
    return tuple(
        EventDay(
            day=key[0],
            arm=key[1],
            version=key[2],
            mature=key[0] <= complete,
            answers=answers,
            named=named,
            labelled=labelled,
            predicted=_estimate(values, key),
            observed=_estimate(labels, key),
            skill=_estimate(skill, key),
        )
        for *found, answers, named, labelled, _ in counted
        for key in [tuple(found)]
    )


def _window(connection: duckdb.DuckDBPyConnection, spec: ModelSpec, *, binary: bool) -> tuple[EventWindow, ...]:
    keys = ["arm", "version"]
    labels, values, gaps = means(connection, "recent", keys)
    skill, sampled = skills(connection, "recent", keys, binary=binary), sample(connection, "recent", keys)
    counted = connection.execute(_COUNTS.format(keys=", ".join(keys), rows="recent")).fetchall()
    return tuple(
        EventWindow(
            arm=key[0],
            version=key[1],
            answers=answers,
            named=named,
            labelled=labelled,
            events=events,
            predicted=_estimate(values, key),
            observed=_estimate(labels, key),
            gap=_estimate(gaps, key),
            skill=_estimate(skill, key),
            metrics=metrics(spec, sampled[key]) if key in sampled else {},
            bins=calibration(sampled[key]) if key in sampled else (),
        )
        for *found, answers, named, labelled, events in counted
        for key in [tuple(found)]
    )


def _estimate(found: Mapping[tuple[object, ...], Moments], key: tuple[object, ...]) -> Estimate | None:
    return found[key].estimate if key in found else None
