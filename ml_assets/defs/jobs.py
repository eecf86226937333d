"""The parts of the graph as jobs: a day of data, a model's life, its release, and the way back."""

from functools import cache, reduce
from operator import or_
from typing import TypeAlias

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from ml_assets.components.days import shop_days, source_days, source_hours, watched_days
from ml_assets.components.model_assets import FEATURES
from ml_assets.components.tags import MODEL, WATCHES
from ml_assets.config.model_spec import ModelSpec, model_specs
from ml_assets.config.settings import PROJECT, SHOP, Settings, load_settings
from ml_assets.config.sources import sources_beside
from ml_assets.defs.resources import forked
from ml_assets.execution.runs import REBUILD

Job: TypeAlias = UnresolvedAssetJobDefinition

DATA_GROUPS = ("raw", "staging", "intermediate", "features", "marts")
FEATURE_STORE = "feature_store"
ONLINE_STORE = "online_store"
TRAINED = ("training_set", "refit", "tuning", "candidate", "evaluation", "champion")
"""Assets of a model that only training renews."""
REFRESHED = ("retrieval_index", "service", "deployment")
"""Assets of a model that every new day of data renews; the model itself stays."""


class RollBack(dg.Config):
    """What the job `rollback` needs to know."""

    model: str
    reason: str = "by hand"
    to: str | None = None


@dg.op
def roll_back_model(context: dg.OpExecutionContext, config: RollBack) -> None:
    """End the release under way, or put the previous version or the one named `to` back; by files only."""
    from ml_assets.config.model_spec import model_spec
    from ml_assets.journals import damages
    from ml_assets.release import roll_back
    from serving.deploy.taken_up import taken_up

    settings, spec = load_settings(), model_spec(config.model)
    for text in damages(settings, spec.name):
        context.log.warning(text)
    pointer = roll_back(settings, spec, config.reason, to=config.to, tell=context.log.warning)
    found = taken_up(settings, spec.name, pointer)
    if not found.ok:
        raise dg.Failure(found.text)
    context.log.info(found.text)


@dg.job(executor_def=dg.in_process_executor)
def rollback() -> None:
    """Take back what was released last: one click, no registry, no network."""
    roll_back_model()


@dg.op
def remove_what_is_old(context: dg.OpExecutionContext) -> None:
    """Remove what is older than `ML_ASSETS_KEEP` says, unless something needs it; how much is in the metadata."""
    from ml_assets.retention.prune import prune as remove

    told = remove(load_settings(), context.instance)
    for each in told:
        context.log.info(each.text)
    sizes: dict[str, int] = {}
    for each in told:
        sizes[f"{each.kind}_bytes"] = sizes.get(f"{each.kind}_bytes", 0) + each.size
    context.add_output_metadata({"bytes": sum(sizes.values()), **sizes})


@dg.job(executor_def=dg.in_process_executor)
def prune() -> None:
    """Remove data, versions, runs and logs that are older than they are kept; nothing that is needed."""
    remove_what_is_old()


def of_models(source: str, name: str) -> dg.AssetSelection:
    """This asset of every model of a source."""
    return dg.AssetSelection.assets(*(dg.AssetKey([spec.name, name]) for spec in model_specs(source)))


def tagged(tag: str, source: str) -> dg.AssetSelection:
    """The assets that have this tag with the name of a model of the source."""
    parts = [dg.AssetSelection.tag(tag, spec.name) for spec in model_specs(source)]
    return reduce(or_, parts, dg.AssetSelection.assets())


def job_name(source: str, what: str) -> str:
    """What a job or sensor is called: the shop's as it is, another source's with its name before."""
    return what if source == SHOP else f"{source}_{what}"


def modelled(source: str) -> bool:
    """Whether a source beside the shop has dbt models."""
    return (PROJECT / "dbt_project" / "models" / source).is_dir()


def groups_of(source: str) -> frozenset[str]:
    """The groups of the assets that a source's data is in, from raw to features; the models' are not among them."""
    return frozenset({*DATA_GROUPS, FEATURE_STORE} if source == SHOP else {source})


def renewed(source: str) -> dg.AssetSelection:
    """The assets of a source's models that every new day of its data renews."""
    keys = [dg.AssetKey([spec.name, name]) for spec in model_specs(source) for name in refreshed(spec)]
    return dg.AssetSelection.assets(*keys)


def refreshed(spec: ModelSpec) -> tuple[str, ...]:
    """The assets of a model that new data renews: a ranking's index, other models' predictions without a label."""
    return REFRESHED if spec.ranks else (*REFRESHED[1:], "batch_predictions")


def retrained(spec: ModelSpec) -> list[dg.AssetKey]:
    """The assets that training a model again materializes."""
    return [dg.AssetKey([spec.name, name]) for name in (*TRAINED, *refreshed(spec))]


@dg.definitions
def jobs() -> dg.Definitions:
    """`ingest`, `train`, `daily`, `retrain`, `release`, `collect`, `rebuild`, `rollback`, `prune`; some per source."""
    return dg.Definitions(jobs=[*asset_jobs(load_settings()).values(), rollback, prune])


@cache
def asset_jobs(settings: Settings) -> dict[str, Job]:
    """The jobs that materialize parts of the graph, by name; sensors and schedules name them as their targets."""
    days, hours = shop_days(settings), source_hours(settings, SHOP)
    data = dg.AssetSelection.groups(*DATA_GROUPS)
    models = tagged(MODEL, SHOP)
    logs = of_models(SHOP, "prediction_log")
    ranking = (spec.name for spec in model_specs(SHOP) if spec.ranks)
    releases = dg.AssetSelection.assets(*(dg.AssetKey([name, "release"]) for name in ranking))
    watched = tagged(WATCHES, SHOP)
    ingest = dg.define_asset_job(
        "ingest", data, partitions_def=days, executor_def=forked("ingest"),
        description="Land, check and publish days of raw data, and bring every dbt model up to them.",
    )  # fmt: skip
    train = dg.define_asset_job(
        "train", dg.AssetSelection.groups(FEATURE_STORE) | (models - watched - releases), partitions_def=days,
        executor_def=forked("train"),
        description="Materialize the online store, train, evaluate, gate, deploy, and score all active customers.",
    )  # fmt: skip
    daily = dg.define_asset_job(
        "daily", data | dg.AssetSelection.groups(FEATURE_STORE) | renewed(SHOP) | (watched - logs),
        partitions_def=days, executor_def=forked("daily"),
        description="A new day: ingest it, renew features, index and deployment, and watch the models on it.",
    )  # fmt: skip
    retrain = dg.define_asset_job(
        "retrain", dg.AssetSelection.assets(*(key for spec in model_specs() for key in retrained(spec))),
        executor_def=forked("retrain"),
        description="Train again: the cheap refit first, then tuning, gate, and a release if the gate lets it through.",
    )  # fmt: skip
    release = dg.define_asset_job(
        "release", releases, executor_def=dg.in_process_executor,
        description="Judge the release under way on its own traffic and take the step that follows.",
    )  # fmt: skip
    collect = dg.define_asset_job(
        "collect", logs, partitions_def=hours, executor_def=dg.in_process_executor,
        description="Turn what the services logged into hourly tables.",
    )  # fmt: skip
    rebuild = _rebuild(settings, SHOP, dg.AssetSelection.groups(*DATA_GROUPS[1:], FEATURE_STORE))
    beside = [job for source in sources_beside() for job in (*_beside(settings, source), *_watching(settings, source))]
    return {job.name: job for job in (ingest, train, daily, retrain, release, collect, rebuild, *beside)}


def _beside(settings: Settings, source: str) -> tuple[Job, ...]:
    """The jobs of a source beside the shop: its days, its models, and a day with what rests on it."""
    data, days = dg.AssetSelection.groups(source), source_days(settings, source)
    online = data & dg.AssetSelection.kind("feast")  # none where no model needs features
    models = tagged(MODEL, source) - tagged(WATCHES, source)
    ingest = dg.define_asset_job(
        f"{source}_ingest", data - online, partitions_def=days, executor_def=forked("ingest"),
        description=f"Land, check and publish days of {source}, and bring its dbt models up.",
    )  # fmt: skip
    train = dg.define_asset_job(
        f"{source}_train", dg.AssetSelection.assets(FEATURES) | online | models, executor_def=forked("train"),
        description=f"Materialize the features of {source}; train, evaluate and gate its models.",
    )  # fmt: skip
    daily = dg.define_asset_job(
        f"{source}_daily", data | dg.AssetSelection.assets(FEATURES) | renewed(source), partitions_def=days,
        executor_def=forked("daily"),
        description=f"A new day of {source}: ingest it, and renew features and deployments of the models that serve.",
    )  # fmt: skip
    if not modelled(source):
        return ingest, train, daily
    return ingest, train, daily, _rebuild(settings, source, data | dg.AssetSelection.assets(FEATURES))


def _rebuild(settings: Settings, source: str, data: dg.AssetSelection) -> Job:
    """The job that makes the tables of a source's dbt models anew, then definitions and online store."""
    made = data & (dg.AssetSelection.kind("dbt") | dg.AssetSelection.kind("feast"))
    return dg.define_asset_job(
        job_name(source, "rebuild"), made, partitions_def=source_days(settings, source), executor_def=forked("rebuild"),
        tags={REBUILD: "true"},
        description="Make tables of dbt models anew, of all published days, then definitions and online store.",
    )  # fmt: skip


def _watching(settings: Settings, source: str) -> list[Job]:
    """The jobs that watch the models of a source beside the shop, on the days and hours on which they are asked."""
    if not model_specs(source):
        return []
    logs = of_models(source, "prediction_log")
    watch = dg.define_asset_job(
        f"{source}_watch", tagged(WATCHES, source) - logs, partitions_def=watched_days(settings, source),
        executor_def=forked("watch"),
        description=f"What the services of {source} answered on a day: labels, drift, quality, skew, service level.",
    )  # fmt: skip
    collect = dg.define_asset_job(
        f"{source}_collect", logs, partitions_def=source_hours(settings, source), executor_def=dg.in_process_executor,
        description=f"Turn what the services of {source} logged into hourly tables.",
    )  # fmt: skip
    return [watch, collect]
