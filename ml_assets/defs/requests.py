"""What sensors and schedules say: runs with the reason why, or the reason why there are none."""

from collections.abc import Iterator, Sequence

import dagster as dg

from ml_assets.defs.jobs import job_name, refreshed
from ml_assets.ingestion.arrivals import Arrivals
from ml_assets.learning.spec import ModelSpec, model_specs
from ml_assets.runs import range_tags
from ml_assets.settings import Settings, load_settings

CAUSE, REASON, CHANGES, MODEL = (f"ml_assets/{name}" for name in ("cause", "reason", "changes", "model"))
RUNNING = dg.DefaultSensorStatus.RUNNING
BUSY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]
Requests = Iterator[dg.RunRequest | dg.SkipReason]
Answer = list[dg.RunRequest] | dg.SkipReason


def answer(found: Requests) -> Answer:
    """What a tick says: the runs it asks for, or else every reason why there are none."""
    said = list(found)
    asked = [each for each in said if isinstance(each, dg.RunRequest)]
    reasons = [each.skip_message or "" for each in said if isinstance(each, dg.SkipReason)]
    return asked or dg.SkipReason("; ".join(reasons))


def busy(instance: dg.DagsterInstance, tags: dict[str, str]) -> bool:
    """Whether a run with these tags waits or works."""
    return bool(instance.get_runs(dg.RunsFilter(tags=tags, statuses=BUSY), limit=1))


def under_way(instance: dg.DagsterInstance, *jobs: str) -> bool:
    """Whether a run of one of these jobs waits or works."""
    return any(instance.get_runs(dg.RunsFilter(job_name=job, statuses=BUSY), limit=1) for job in jobs)


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
