"""What arrives leads to runs: news at the sources to the job `land`, arrived days to the partitions concerned."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime

import dagster as dg

from ml_assets.components.event_source import LANDS
from ml_assets.defs.automation import BUSY, CAUSE, REASON, RUNNING, Answer, Requests, answer, days_run
from ml_assets.defs.jobs import asset_jobs
from ml_assets.ingestion.arrivals import Arrivals, arrivals, late_days, signature
from ml_assets.ingestion.errors import IngestionError
from ml_assets.ingestion.spec import SourceSpec, load_source
from ml_assets.learning.spec import model_specs
from ml_assets.settings import SHOP, Settings, load_settings

LAND = "land"


@dataclass(frozen=True)
class Look:
    """What the sensor remembers between two looks.

    Attributes:
        seen: signature of what had arrived.
        since: the earliest day that got late rows and is not in the lake with them yet.
        hour: when that was last looked into.
    """

    seen: dict[str, str] = field(default_factory=dict)
    since: str | None = None
    hour: str = ""


@dg.definitions
def arriving() -> dg.Definitions:
    """`arrivals_sensor`, and the job `land` of a shop with sources."""
    settings = load_settings()
    jobs = asset_jobs(settings)
    targets = [jobs["daily"], jobs["ingest"]]
    lands = any(table.source is not None for table in load_source(settings.shop_file).tables.values())
    landing = dg.define_asset_job(
        LAND, dg.AssetSelection.tag(*next(iter(LANDS.items()))), executor_def=dg.in_process_executor,
        description="Land what the sources have, each row, message and object once.",
    )  # fmt: skip
    made = [landing] if lands else []

    @dg.sensor(
        jobs=[*targets, *made], minimum_interval_seconds=settings.sensor_seconds, default_status=RUNNING
    )  # fmt: skip
    def arrivals_sensor(context: dg.SensorEvaluationContext) -> Answer:
        """Looks at what arrived, at the sources and in the landing folder, and runs the days concerned, once each."""
        return answer(_looked(context))

    return dg.Definitions(jobs=made, sensors=[arrivals_sensor])


def _looked(context: dg.SensorEvaluationContext) -> Requests:
    settings, now = load_settings(), datetime.now(UTC)
    source = load_source(settings.shop_file)
    if source.simulation is not None:
        yield dg.SkipReason("the simulated world drops its files when a run asks it to: nothing arrives by itself")
        return
    yield from _to_land(context, source, settings, now)
    yield from _to_ingest(context, source, settings, now)


def _to_land(context: dg.SensorEvaluationContext, source: SourceSpec, settings: Settings, now: datetime) -> Requests:
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
    if news and _under_way(context, LAND):
        yield dg.SkipReason("a landing is under way")
    elif news:
        reason = f"{', '.join(news)}: the source has something new"
        key = f"{LAND} {_digest(news)} {_hour(now)}"  # tried again after an hour when it failed
        yield dg.RunRequest(run_key=key, job_name=LAND, tags={CAUSE: "arrival", REASON: reason[:250]})


def _to_ingest(context: dg.SensorEvaluationContext, source: SourceSpec, settings: Settings, now: datetime) -> Requests:
    today, hour = now.date(), _hour(now)
    last = Look(**json.loads(context.cursor)) if context.cursor else Look()
    seen = signature(source, settings, today)
    if seen == last.seen and (last.since is None or last.hour == hour):
        yield dg.SkipReason("nothing has arrived since the last look")
        return
    if _under_way(context, "daily", "ingest"):
        yield dg.SkipReason("a run of the days that arrived before is under way")
        return
    late = [*late_days(source, settings, last.seen), *([date.fromisoformat(last.since)] if last.since else [])]
    since = min(late, default=None)
    found = arrivals(source, settings, today, since)
    settled = found.days is None and not found.waiting  # else the same is asked again after an hour
    context.update_cursor(json.dumps(asdict(Look(seen, None if settled or not since else str(since), hour))))
    yield dg.SkipReason(found.why) if found.days is None else _renewed(found, settings, f"{_digest(seen)} {hour}")


def _under_way(context: dg.SensorEvaluationContext, *jobs: str) -> bool:
    return any(context.instance.get_runs(dg.RunsFilter(job_name=job, statuses=BUSY), limit=1) for job in jobs)


def _renewed(found: Arrivals, settings: Settings, mark: str) -> dg.RunRequest:
    """The run of the days that arrived; before a model serves there is nothing to renew behind the features."""
    assert found.days is not None  # noqa: S101  # asked by the caller
    key = f"days {found.days[0]} {found.days[1]} {mark}"
    return days_run(replace(found, why=found.why[:250]), "arrival", key, "daily" if _serving(settings) else "ingest")


def _serving(settings: Settings) -> bool:
    from ml_assets.registry.pointer import pointer_path

    return any(pointer_path(settings, spec.name).exists() for spec in model_specs(SHOP))


def _digest(said: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def _hour(now: datetime) -> str:
    return f"{now:%Y-%m-%dT%H}"
