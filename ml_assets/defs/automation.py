"""What runs by itself: sensors that watch freshness, drift and releases, and the schedules beside them.

Each can be switched off in the UI. A sensor decides nothing: it gathers facts, asks the library, and turns the
answer into a run whose tags say why it was started.
"""

from datetime import UTC, datetime
from functools import partial
from typing import Any

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from ml_assets.components.tags import MODEL, SOURCE
from ml_assets.config.model_spec import ModelSpec, model_specs
from ml_assets.config.settings import SHOP, load_settings
from ml_assets.config.sources import source_of, sources_beside
from ml_assets.defs.jobs import TRAINED, Job, asset_jobs, groups_of, prune, retrained
from ml_assets.defs.requests import (
    CHANGES,
    REASON,
    RUNNING,
    Answer,
    Asked,
    Context,
    Requests,
    answer,
    busy,
    day_jobs,
    days_run,
    each_by_itself,
    launched,
    source_run,
    under_way,
)
from ml_assets.defs.watching import hourly_collection
from ml_assets.execution.runs import CAUSE
from ml_assets.ingestion.days import freshness
from ml_assets.ingestion.days.arrivals import arrivals


@dg.definitions
def automation() -> dg.Definitions:
    """`freshness_sensor`, `drift_sensor`, `release_sensor`, and the schedules of days, hours and weeks."""
    pause, jobs = load_settings().sensor_seconds, asset_jobs(load_settings())
    days = [jobs[job] for source in (SHOP, *sources_beside()) for job in day_jobs(source)]

    @dg.sensor(jobs=[*days, jobs["retrain"]], minimum_interval_seconds=pause, default_status=RUNNING)
    def freshness_sensor(context: dg.SensorEvaluationContext) -> Answer:
        """Data older than promised, stale features, a model beyond its maximum age: renews them as soon as it can."""
        return answer(_renewed(context))

    @dg.sensor(job=jobs["retrain"], minimum_interval_seconds=pause, default_status=RUNNING)
    def drift_sensor(context: dg.SensorEvaluationContext) -> Answer:
        """Persistent drift, a loss of quality or age: retrains, once per cause; bad data holds it back."""
        return answer(_decided(context, scheduled=False))

    @dg.sensor(job=jobs["release"], minimum_interval_seconds=pause, default_status=RUNNING)
    def release_sensor(context: dg.SensorEvaluationContext) -> Answer:
        """Carries a release on whenever the service has logged more about it."""
        rankings = [spec for spec in model_specs() if spec.ranks]  # no other model has releases
        return answer(each_by_itself(context, rankings, partial(_carried_on, context), _name))

    return dg.Definitions(
        sensors=[freshness_sensor, drift_sensor, release_sensor],
        schedules=[
            _daily_ingestion(jobs["daily"]),
            _weekly_retraining(jobs["retrain"]),
            hourly_collection(jobs["collect"], SHOP, "hourly_collection"),
            dg.ScheduleDefinition(
                "nightly_pruning",
                job=prune,
                cron_schedule="30 5 * * *",
                default_status=dg.DefaultScheduleStatus.RUNNING,
                description="Every night: what is older than it is kept goes.",
            ),
        ],
    )


def _renewed(context: dg.SensorEvaluationContext) -> Asked:
    stale, graph = stale_assets(context), _graph(context)

    def of(key: dg.AssetKey, tag: str) -> str | None:
        found: str | None = graph.get(key).tags.get(tag)
        return found

    def data(source: str) -> Requests:
        return _renew_data(context, source, [key for key in stale if (of(key, SOURCE) or SHOP) == source])

    def model(spec: ModelSpec) -> Requests:
        old = [key for key in stale if of(key, MODEL) == spec.name and key.path[-1] in TRAINED]
        if old and not busy(context.instance, {MODEL: spec.name}):
            reason = f"{old[0].to_user_string()} is older than {spec.retraining.max_age_days} days"
            yield retraining(spec, cause="age", reason=reason, run_key=_hourly(f"{spec.name} age"))

    yield from each_by_itself(context, (SHOP, *sources_beside()), data, str)
    yield from each_by_itself(context, model_specs(), model, _name)


def _name(spec: ModelSpec) -> str:
    return spec.name


def _carried_on(context: dg.SensorEvaluationContext, spec: ModelSpec) -> Requests:
    from ml_assets.release import progress

    seen = progress(load_settings(), spec.name)
    if seen is None:
        yield dg.SkipReason(f"{spec.name}: no release under way")
    elif busy(context.instance, {MODEL: spec.name, "ml_assets/job": "release"}):
        yield dg.SkipReason(f"{spec.name}: its release is being judged")
    else:
        yield dg.RunRequest(
            run_key=seen,
            job_name="release",
            asset_selection=[dg.AssetKey([spec.name, "release"])],
            tags={MODEL: spec.name, "ml_assets/job": "release", CAUSE: "release"},
        )


def _daily_ingestion(daily: Job) -> dg.ScheduleDefinition:
    @dg.schedule(job=daily, cron_schedule="0 3 * * *", default_status=dg.DefaultScheduleStatus.RUNNING)
    def daily_ingestion(context: dg.ScheduleEvaluationContext) -> Requests:
        """Every night: the days that have arrived, the features and the deployment on them, and the watch."""
        settings = load_settings()
        found = arrivals(source_of(SHOP, settings), settings, context.scheduled_execution_time.date())
        yield dg.SkipReason(found.why) if found.days is None else days_run(found, cause="schedule")

    return daily_ingestion


def _weekly_retraining(retrain: Job) -> dg.ScheduleDefinition:
    @dg.schedule(job=retrain, cron_schedule="0 5 * * 1", default_status=dg.DefaultScheduleStatus.RUNNING)
    def weekly_retraining(context: dg.ScheduleEvaluationContext) -> Answer:
        """Every Monday: each model is trained on the newest weeks, if the cheap refit says that it helps."""
        return answer(_decided(context, scheduled=True))

    return weekly_retraining


def _decided(context: Context, *, scheduled: bool) -> Asked:
    """Ask for each model whether to train it again."""
    return each_by_itself(context, model_specs(), partial(_decide, context, scheduled), _name)


def _decide(context: Context, scheduled: bool, spec: ModelSpec) -> Requests:
    """Note the answer, and turn it into a run or a reason; it counts as an attempt once its run exists."""
    from ml_assets.retraining import decide, gather, record
    from ml_assets.storage.warehouse import WarehouseError

    settings, instance = load_settings(), context.instance
    if scheduled and _ended(spec, context):
        yield dg.SkipReason(f"{spec.name}: {spec.source}'s calendar ended, there is nothing new to learn")
        return
    failed, running = failed_data_checks(context, spec.source), busy(instance, {MODEL: spec.name})
    try:
        facts = gather(spec, settings, failed, running, partial(launched, instance))
    except (WarehouseError, FileNotFoundError) as error:
        yield dg.SkipReason(f"{spec.name}: {error}")
        return
    decision = decide(spec, facts, scheduled=scheduled)
    record(settings, spec, decision)
    if not decision.retrain:
        yield dg.SkipReason(f"{spec.name}: {decision.reason}")
        return
    yield retraining(
        spec,
        cause=decision.cause.value,
        reason=decision.reason,
        run_key=decision.attempt_id,
        cause_id=decision.cause_id,
        fresh=decision.fresh,
        changes=decision.changes,
    )


def _ended(spec: ModelSpec, context: Context) -> bool:
    """Whether nothing more is to come from the model's source."""
    assert isinstance(context, dg.ScheduleEvaluationContext)  # noqa: S101  # only schedules ask
    end = source_of(spec.source, load_settings()).calendar.end
    return end is not None and end < context.scheduled_execution_time.date()


def retraining(
    spec: ModelSpec,
    *,
    cause: str,
    reason: str,
    run_key: str,
    cause_id: str = "",
    fresh: bool = False,
    changes: str = "",
) -> dg.RunRequest:
    """The run that trains a model again; why is in its tags."""
    configured: dict[str, Any] = {
        f"{spec.name}__training_set": {"config": {"fresh": fresh}},
        f"{spec.name}__refit": {"config": {"cause": cause, "cause_id": cause_id}},
    }
    return dg.RunRequest(
        run_key=run_key,
        job_name="retrain",
        asset_selection=retrained(spec),
        run_config={"ops": configured},
        tags={MODEL: spec.name, CAUSE: cause, REASON: reason[:250], CHANGES: changes[:250] or "none"},
    )


def failed_data_checks(context: Context, source: str) -> list[str]:
    """The checks on a source's data whose newest evaluation failed: "asset: check: text"."""
    graph = _graph(context)
    watched = groups_of(source)
    keys = [key for key in graph.asset_check_keys if graph.get(key.asset_key).group_name in watched]
    newest = context.instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    failed = []
    for key, record in newest.items():
        if record.status != AssetCheckExecutionRecordStatus.FAILED or record.evaluation is None:
            continue
        if record.evaluation.severity == dg.AssetCheckSeverity.ERROR:
            failed.append(f"{key.asset_key.to_user_string()}: {key.name}: {record.evaluation.description or 'failed'}")
    return sorted(failed)


def stale_assets(context: dg.SensorEvaluationContext) -> list[dg.AssetKey]:
    """Assets that their freshness policy, if they still have one, warns of or has given up on."""
    graph = _graph(context)
    keys = [key for key in graph.get_all_asset_keys() if graph.get(key).freshness_policy_or_from_metadata]
    found = context.instance.get_freshness_state_records(keys)
    return sorted(key for key, record in found.items() if record.freshness_state.value in {"FAIL", "WARN"})


def _graph(context: Context) -> Any:
    assert context.repository_def is not None  # noqa: S101  # sensors are evaluated with their repository
    return context.repository_def.asset_graph


def _renew_data(context: dg.SensorEvaluationContext, source: str, stale: list[dg.AssetKey]) -> Requests:
    """Bring a source up to date when its data is older than promised, or what is made of it was made too long ago."""
    settings, now = load_settings(), freshness.clock()
    late = [key for key in stale if key.path[-1] not in TRAINED]
    data = freshness.freshness(source_of(source, settings), settings, now)
    if not late and (data.ok or data.newest is None):
        yield dg.SkipReason(data.text)  # the first days are for a person to ask for
        return
    why = data.text if not data.ok else f"{late[0].to_user_string()} was made too long ago"
    found = arrivals(source_of(source, settings), settings, now.date())
    if found.days is None:
        yield dg.SkipReason(f"{why}; {found.why}")
    elif under_way(context.instance, *day_jobs(source)):
        yield dg.SkipReason(f"{source}: a run that renews the data is under way")
    else:
        yield source_run(context, source, found, cause="freshness", run_key=_hourly(f"{source} freshness"))


def _hourly(what: str) -> str:
    """A run key that lets the same thing be tried again after an hour."""
    return f"{what} {datetime.now(UTC):%Y-%m-%dT%H}"
