"""What arrives leads to runs: news at the sources to their landing, arrived days to the partitions concerned.

The shop and each source beside it have a sensor of their own, so that one that is broken holds back no other.
"""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime

import dagster as dg
from dagster._core.execution.stats import StepEventStatus

from ml_assets.components.table_checks import EVERY_DAY
from ml_assets.components.tags import LANDS
from ml_assets.config.ingestion_error import IngestionError
from ml_assets.config.settings import SHOP, Settings, load_settings
from ml_assets.config.source_spec import SourceSpec
from ml_assets.config.sources import source_of, sources_beside
from ml_assets.defs.jobs import Job, asset_jobs, job_name
from ml_assets.defs.requests import REASON, RUNNING, Answer, Requests, answer, day_jobs, launched, source_run, under_way
from ml_assets.execution.runs import CAUSE
from ml_assets.ingestion.days.arrivals import arrivals


@dg.definitions
def arriving() -> dg.Definitions:
    """`arrivals_sensor` and the job `land` of the shop; `<source>_arrivals_sensor`, `<source>_land` of the others."""
    settings, landings, sensors = load_settings(), [], []
    for name in (SHOP, *sources_beside()):
        landing = _landing(name, settings)
        landings += landing
        sensors.append(_sensor(name, settings, landing))
    return dg.Definitions(jobs=landings, sensors=sensors)


def _landing(name: str, settings: Settings) -> list[Job]:
    """The job that lands what a source has, if anything of it is landed."""
    if all(table.source is None for table in source_of(name, settings).tables.values()):
        return []
    return [
        dg.define_asset_job(
            job_name(name, "land"), dg.AssetSelection.tag(LANDS, name), executor_def=dg.in_process_executor,
            description="Land what the sources have, each row, message and object once.",
        )
    ]  # fmt: skip


def _sensor(name: str, settings: Settings, landing: list[Job]) -> dg.SensorDefinition:
    jobs = asset_jobs(settings)

    @dg.sensor(
        name=job_name(name, "arrivals_sensor"), jobs=[*(jobs[each] for each in day_jobs(name)), *landing],
        minimum_interval_seconds=settings.sensor_seconds, default_status=RUNNING,
        description="Looks at what arrived, at the source and in its files, and runs the days concerned, once each.",
    )  # fmt: skip
    def arrivals_sensor(context: dg.SensorEvaluationContext) -> Answer:
        return answer(_looked(context, name))

    return arrivals_sensor


def _looked(context: dg.SensorEvaluationContext, name: str) -> Requests:
    settings, now = load_settings(), datetime.now(UTC)
    source = source_of(name, settings)
    if source.simulation is not None:
        yield dg.SkipReason("the simulated world drops its files when a run asks it to: nothing arrives by itself")
        return
    yield from _to_land(context, name, source, settings, now)
    yield from _to_ingest(context, name, source, settings, now)


def _to_land(
    context: dg.SensorEvaluationContext, name: str, source: SourceSpec, settings: Settings, now: datetime
) -> Requests:
    from ml_assets.ingestion.connectors.land import unlanded

    news: dict[str, str] = {}
    for table in source.tables.values():
        if table.source is None:
            continue
        try:
            found = unlanded(source, table, settings, now)
        except IngestionError as error:
            yield dg.SkipReason(f"{table.name}: {error}")
            continue
        if found is not None:
            news[table.name] = found
    land = job_name(name, "land")
    if news and under_way(context.instance, land):
        yield dg.SkipReason("a landing is under way")
    elif news:
        reason = f"{', '.join(news)}: the source has something new"
        key = f"{land} {_digest(news)} {now:%Y-%m-%dT%H}"  # tried again after an hour when it failed
        yield dg.RunRequest(run_key=key, job_name=land, tags={CAUSE: "arrival", REASON: reason[:250]})


def _to_ingest(
    context: dg.SensorEvaluationContext, name: str, source: SourceSpec, settings: Settings, now: datetime
) -> Requests:
    jobs = day_jobs(name)
    if under_way(context.instance, *jobs):
        yield dg.SkipReason("a run of the days that arrived before is under way")
        return
    failed = _failed(context.instance, jobs)
    again = failed[0] if failed and failed[1] < now.date() else None  # tried again on the next day
    found = arrivals(source, settings, now.date(), again=again)
    if found.days is None:
        said = f"the run of {failed[0]} and later days failed: see its log; " if failed else ""
        yield dg.SkipReason(f"{said}{found.why}")
        return
    key = f"{name} days {found.days[0]} {found.days[1]} {found.mark} {now.date()}"  # as is what was not done
    if launched(context.instance, key):
        yield dg.SkipReason(f"asked for today already, and not done: see the log of that run; {found.why}")
    else:
        yield source_run(context, name, found, "arrival", key)


def _failed(instance: dg.DagsterInstance, jobs: Sequence[str]) -> tuple[date, date] | None:
    """The first day of the newest run that brought days in, and when that was, if what rests on them may lack them."""
    newest = [record for job in jobs for record in instance.get_run_records(dg.RunsFilter(job_name=job), limit=1)]
    record = max(newest, key=lambda each: each.storage_id, default=None)
    run = record.dagster_run if record else None
    if record is None or run is None or run.status is not dg.DagsterRunStatus.FAILURE:
        return None
    steps = [each for each in instance.get_run_step_stats(run.run_id) if each.status is StepEventStatus.FAILURE]
    if steps and all(each.step_key.endswith(EVERY_DAY) for each in steps):
        return None  # all of the others was made
    day = run.tags.get("dagster/asset_partition_range_start") or run.tags.get("dagster/partition")
    return (date.fromisoformat(day), record.create_timestamp.date()) if day else None


def _digest(said: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]
