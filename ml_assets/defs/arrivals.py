"""What arrives leads to runs: news at the sources to their landing, arrived days to the partitions concerned.

The shop and each source beside it have a sensor of their own, so that one that is broken holds back no other.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime

import dagster as dg

from ml_assets.components.event_source import LANDS
from ml_assets.defs.jobs import Job, asset_jobs, job_name
from ml_assets.defs.requests import CAUSE, REASON, RUNNING, Answer, Requests, answer, day_jobs, source_run, under_way
from ml_assets.ingestion.arrivals import arrivals, late_days, signature
from ml_assets.ingestion.beside import source_of, sources_beside
from ml_assets.ingestion.errors import IngestionError
from ml_assets.ingestion.spec import SourceSpec
from ml_assets.settings import SHOP, Settings, load_settings


@dataclass(frozen=True)
class Look:
    """What a sensor remembers between two looks.

    Attributes:
        seen: signature of what had arrived.
        since: the earliest day that got late rows and is not in the lake with them yet.
        hour: when that was last looked into.
        why: what it led to.
    """

    seen: dict[str, str] = field(default_factory=dict)
    since: str | None = None
    hour: str = ""
    why: str = ""


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
    from ml_assets.ingestion.sources.land import unlanded

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
        key = f"{land} {_digest(news)} {_hour(now)}"  # tried again after an hour when it failed
        yield dg.RunRequest(run_key=key, job_name=land, tags={CAUSE: "arrival", REASON: reason[:250]})


def _to_ingest(
    context: dg.SensorEvaluationContext, name: str, source: SourceSpec, settings: Settings, now: datetime
) -> Requests:
    today, hour = now.date(), _hour(now)
    last = Look(**json.loads(context.cursor)) if context.cursor else Look()
    seen = signature(source, settings, today)
    settled = last.since is None or last.hour == hour
    if seen == last.seen and settled and last.hour.startswith(str(today)):
        yield dg.SkipReason(f"nothing has arrived since the last look: {last.why}")
        return
    jobs = day_jobs(name)
    if under_way(context.instance, *jobs):
        yield dg.SkipReason("a run of the days that arrived before is under way")
        return
    late = [*late_days(source, settings, last.seen), *([date.fromisoformat(last.since)] if last.since else [])]
    since = min(late, default=None)
    found = arrivals(source, settings, today, since, again=_failed(context.instance, jobs))
    gone = found.days is None and not found.waiting  # else the same is asked again after an hour
    look = Look(seen, None if gone or not since else str(since), hour, found.why)
    context.update_cursor(json.dumps(asdict(look)))
    key = f"days {found.days} {_digest(seen)} {hour}"
    yield dg.SkipReason(found.why) if found.days is None else source_run(context, name, found, "arrival", key)


def _failed(instance: dg.DagsterInstance, jobs: Sequence[str]) -> date | None:
    """The first day of the newest run that brought days in, if it failed: what rests on them may lack them."""
    newest = [record for job in jobs for record in instance.get_run_records(dg.RunsFilter(job_name=job), limit=1)]
    run = max(newest, key=lambda record: record.storage_id).dagster_run if newest else None
    if run is None or run.status is not dg.DagsterRunStatus.FAILURE:
        return None
    day = run.tags.get("dagster/asset_partition_range_start") or run.tags.get("dagster/partition")
    return date.fromisoformat(day) if day else None


def _digest(said: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def _hour(now: datetime) -> str:
    return f"{now:%Y-%m-%dT%H}"
