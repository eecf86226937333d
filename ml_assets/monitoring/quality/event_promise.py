"""What a version's evaluation promised of its predictions: the same figures on the test part.

The test part's days are put together to stretches of about as many rows as a day must have to be judged, so that they
can stand where a version has no days of its own yet. Who is predicted online may be others than were in the test part:
the version's own days, once there are some, take over.
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from ml_assets.config.model_spec import ModelSpec, Task
from ml_assets.config.settings import Settings
from ml_assets.datasets.split import Part
from ml_assets.datasets.training_set import ROWS
from ml_assets.evaluation.evaluate import LISTS, RESULT, evaluation_folder
from ml_assets.evaluation.result import CANDIDATE, read_result
from ml_assets.monitoring.quality.event_metrics import CalibrationBin, calibration, sample
from ml_assets.monitoring.quality.loss import MIN_ANSWERS, DayMean
from ml_assets.monitoring.quality.rates import Estimate
from ml_assets.monitoring.quality.skill import means, skills
from ml_assets.monitoring.reports import Report
from ml_assets.storage.files import exact_name

STRETCHES = 28
"""Stretches of a long test part at most."""

_ROWS = """
create temp table promised as
with

rows as (
    select cast(own.{time} as date) as day, own.{entity}::varchar as unit, said.label, said.score as value,
        own.{entity}::varchar as prediction_id
    from read_parquet($lists) as said
    join read_parquet($rows) as own on own."group" = said.row
    where said.contender = $candidate and said.split = $part
),

before as (
    select day, sum(count(*)) over (order by day) - count(*) as earlier, sum(count(*)) over () as total
    from rows group by day
)

select rows.*, '' as whole, (earlier // greatest({least}, total / {stretches}))::integer as stretch
from rows join before using (day)
"""


class EventPromise(Report):
    """The version's predictions on `part`; `metrics` as the evaluation reports them, `gap` is label - prediction."""

    version: str
    part: str
    rows: int
    metrics: dict[str, float | None]
    skill: Estimate | None
    gap: Estimate
    bins: tuple[CalibrationBin, ...]


@dataclass(frozen=True)
class Promised:
    """What is told of a promise, and the days that stand for a version which has none of its own."""

    told: EventPromise
    days: tuple[DayMean, ...]


def promise(spec: ModelSpec, settings: Settings, version: str) -> Promised | None:
    """What the version's evaluation promises; None when it was not evaluated, or its training set is gone."""
    folder = evaluation_folder(settings, spec.name, version)
    if not (folder / RESULT).exists():
        return None
    result, part = read_result(folder / RESULT), Part.TEST.value
    rows = settings.model_home(spec.name) / "training_sets" / result.training_set / ROWS
    if part not in result.parts or not rows.exists() or not (folder / LISTS).exists():
        return None
    binary = spec.task is Task.BINARY
    with duckdb.connect(config={"threads": settings.threads, "memory_limit": settings.memory}) as connection:
        files = {"lists": exact_name(folder / LISTS), "rows": exact_name(rows)}
        sql = _ROWS.format(time=spec.time, entity=spec.entity, least=2 * MIN_ANSWERS, stretches=STRETCHES)
        connection.execute(sql, {**files, "candidate": CANDIDATE, "part": part})
        skill = skills(connection, "promised", ["whole"], binary=binary).get(("",))
        _, _, gaps = means(connection, "promised", ["whole"])
        stretches = skills(connection, "promised", ["stretch"], binary=binary)
        sampled = sample(connection, "promised", ["whole"])
    first = min(result.parts[part].decisions)  # which weekday a stretch has means nothing: they all have one
    told = EventPromise(
        version=version,
        part=part,
        rows=result.parts[part].groups,
        metrics=result.parts[part].values[CANDIDATE],
        skill=skill.estimate if skill else None,
        gap=gaps[("",)].estimate,
        bins=calibration(sampled[("",)]),
    )
    enough = (found for _, found in sorted(stretches.items()) if found.n >= MIN_ANSWERS)
    return Promised(told, tuple(DayMean(first, version, found) for found in enough))
