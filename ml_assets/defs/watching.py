"""What watches the models of sources beside the shop by itself: their logs every hour, their days every night."""

from datetime import date, datetime, time, timedelta

import dagster as dg

from ml_assets.config.model_spec import model_specs
from ml_assets.config.settings import load_settings
from ml_assets.config.sources import sources_beside
from ml_assets.defs.jobs import Job, asset_jobs
from ml_assets.defs.requests import Requests
from ml_assets.execution.runs import CAUSE

RUNNING = dg.DefaultScheduleStatus.RUNNING


@dg.definitions
def watching() -> dg.Definitions:
    """`<source>_collection` and `<source>_watching` for each source beside the shop that has models."""
    jobs = asset_jobs(load_settings())
    sources = [source for source in sources_beside() if f"{source}_watch" in jobs]
    return dg.Definitions(
        schedules=[
            *(hourly_collection(jobs[f"{source}_collect"], source, f"{source}_collection") for source in sources),
            *(_nightly_watching(jobs[f"{source}_watch"], source) for source in sources),
        ]
    )


def hourly_collection(collect: Job, source: str, name: str) -> dg.ScheduleDefinition:
    """The schedule that collects what the services of a source logged."""

    @dg.schedule(name=name, job=collect, cron_schedule="5 * * * *", default_status=RUNNING)
    def collection(context: dg.ScheduleEvaluationContext) -> Requests:
        """Every hour: what the services logged becomes tables."""
        from ml_assets.prediction_log import uncollected

        settings = load_settings()
        ended = context.scheduled_execution_time - timedelta(hours=1)  # an hour is a partition once it is over
        hour = ended.strftime("%Y-%m-%d-%H:00")
        if not any(uncollected(settings, spec.name) for spec in model_specs(source)):
            yield dg.SkipReason("the services logged nothing new")
            return
        yield dg.RunRequest(run_key=hour, partition_key=hour, tags={CAUSE: "schedule"})

    return collection


def _nightly_watching(watch: Job, source: str) -> dg.ScheduleDefinition:
    @dg.schedule(name=f"{source}_watching", job=watch, cron_schedule="0 4 * * *", default_status=RUNNING)
    def nightly(context: dg.ScheduleEvaluationContext) -> Requests:
        """Every night: what the services answered yesterday, with the labels that have arrived since."""
        from ml_assets.monitoring.service_level import SILENT_DAYS

        yesterday = context.scheduled_execution_time.date() - timedelta(days=1)
        if not any(_asked(spec.name, yesterday, SILENT_DAYS) for spec in model_specs(source)):
            yield dg.SkipReason(f"the services of {source} logged nothing in the {SILENT_DAYS} days up to {yesterday}")
            return
        yield dg.RunRequest(run_key=str(yesterday), partition_key=str(yesterday), tags={CAUSE: "schedule"})

    return nightly


def _asked(model: str, day: date, days: int) -> bool:
    """Whether a service has logged anything that is not yet collected, or that is of so many days up to this one."""
    from ml_assets.prediction_log import hour_counts, uncollected

    settings, end = load_settings(), datetime.combine(day, time()) + timedelta(days=1)
    return bool(uncollected(settings, model)) or any(
        hour_counts(settings, model, end - timedelta(days=days), end).values()
    )
