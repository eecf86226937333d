"""What sensors and schedules say: runs with the reason why, or the reason why there are none."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import dagster as dg
from dagster._core.storage.tags import RUN_KEY_TAG

from ml_assets.config.model_spec import ModelSpec, model_specs
from ml_assets.config.settings import Settings, load_settings
from ml_assets.defs.jobs import job_name, refreshed
from ml_assets.execution.dead_runs import end_if_dead
from ml_assets.execution.runs import CAUSE, range_tags
from ml_assets.ingestion.days.arrivals import Arrivals

REASON, CHANGES = (f"ml_assets/{name}" for name in ("reason", "changes"))
RUNNING = dg.DefaultSensorStatus.RUNNING
BUSY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


@dataclass(frozen=True)
class Problem:
    """What went wrong for one model or source; the others are asked all the same."""

    text: str


class TickFailedError(RuntimeError):
    """A tick asked for nothing, and something went wrong in it; the text says for whom."""


Requests = Iterator[dg.RunRequest | dg.SkipReason]
Asked = Iterator[dg.RunRequest | dg.SkipReason | Problem]
Answer = list[dg.RunRequest] | dg.SkipReason
Context = dg.SensorEvaluationContext | dg.ScheduleEvaluationContext
One = TypeVar("One")


def answer(found: Asked) -> Answer:
    """What a tick says: the runs it asks for, or else every reason why there are none.

    Raises:
        TickFailedError: when there are none and something went wrong: the tick is to be seen as failed.
    """
    said = list(found)
    asked = [each for each in said if isinstance(each, dg.RunRequest)]
    reasons = [each.skip_message or "" for each in said if isinstance(each, dg.SkipReason)]
    problems = [each.text for each in said if isinstance(each, Problem)]
    if problems and not asked:
        raise TickFailedError("; ".join([*problems, *reasons]))
    return asked or dg.SkipReason("; ".join(reasons))


def each_by_itself(
    context: Context, those: Iterable[One], ask: Callable[[One], Requests], name: Callable[[One], str]
) -> Asked:
    """Ask about each; one that is broken is logged and named, and holds back no other."""
    for one in those:
        try:
            found = list(ask(one))
        except Exception as error:  # whatever is wrong with one, the next is asked
            context.log.exception(f"{name(one)} could not be looked at")
            yield Problem(f"{name(one)}: {type(error).__name__}: {error}")
        else:
            yield from found


def launched(instance: dg.DagsterInstance, run_key: str) -> bool:
    """Whether a sensor or schedule has launched a run under this key."""
    return bool(instance.get_runs(dg.RunsFilter(tags={RUN_KEY_TAG: run_key}), limit=1))


def busy(instance: dg.DagsterInstance, tags: dict[str, str]) -> bool:
    """Whether a run with these tags waits or works."""
    return _any_lives(instance, dg.RunsFilter(tags=tags, statuses=BUSY))


def under_way(instance: dg.DagsterInstance, *jobs: str) -> bool:
    """Whether a run of one of these jobs waits or works."""
    return any(_any_lives(instance, dg.RunsFilter(job_name=job, statuses=BUSY)) for job in jobs)


def _any_lives(instance: dg.DagsterInstance, wanted: dg.RunsFilter) -> bool:
    """Whether one of the runs waits or works; those whose process is gone are marked failed."""
    return not all(end_if_dead(instance, run) for run in instance.get_runs(wanted))


def day_jobs(source: str) -> tuple[str, str]:
    """The jobs that bring days of a source in: without and with what serves."""
    return job_name(source, "ingest"), job_name(source, "daily")


def days_run(found: Arrivals, cause: str, run_key: str | None = None, job: str = "daily") -> dg.RunRequest:
    """The run of the days that arrived, tagged with why."""
    assert found.days is not None  # noqa: S101  # asked by the callers
    first, last = (str(day) for day in found.days)
    tags = {CAUSE: cause, REASON: found.why[:250]}
    if first == last:
        return dg.RunRequest(job_name=job, run_key=run_key, partition_key=first, tags=tags)
    return dg.RunRequest(job_name=job, run_key=run_key, tags={**tags, **range_tags(first, last)})


def source_run(
    context: dg.SensorEvaluationContext, source: str, found: Arrivals, cause: str, run_key: str
) -> dg.RunRequest:
    """The run of a source's days as far as there is something to renew: before a model serves, only the data."""
    settings, models, (ingest, daily) = load_settings(), model_specs(source), day_jobs(source)
    unserved = [spec for spec in models if not _served(settings, spec)]
    asked = days_run(found, cause, run_key, ingest if len(unserved) == len(models) else daily)
    return _without(context, asked, unserved) if unserved and asked.job_name == daily else asked


def _without(context: dg.SensorEvaluationContext, asked: dg.RunRequest, unserved: Sequence[ModelSpec]) -> dg.RunRequest:
    """The run without the deployments of models that have no champion."""
    assert context.repository_def is not None  # noqa: S101  # sensors are evaluated with their repository
    left_out = {dg.AssetKey([spec.name, name]) for spec in unserved for name in refreshed(spec)}
    job = context.repository_def.get_job(str(asked.job_name))
    return asked._replace(asset_selection=sorted({*job.asset_layer.executable_asset_keys} - left_out))


def _served(settings: Settings, spec: ModelSpec) -> bool:
    from ml_assets.registry.pointer import pointer_path

    return pointer_path(settings, spec.name).exists()
