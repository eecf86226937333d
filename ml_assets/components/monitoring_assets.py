"""The assets that watch a deployed model: its log, its predictions with outcomes, drift, quality, skew, latency."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from ml_assets.components.days import source_hours, watched_days
from ml_assets.components.event_source import days_of
from ml_assets.ingestion.ledger import days_between
from ml_assets.learning.spec import ModelSpec
from ml_assets.settings import load_settings


def monitoring_group(spec: ModelSpec) -> str:
    """Column of the lineage graph in which a model is watched."""
    return f"{spec.name}_monitoring"


def watching(spec: ModelSpec, **options: Any) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """`@dg.asset` for a daily asset that watches this model."""
    decorate: Callable[[Callable[..., Any]], dg.AssetsDefinition] = dg.asset(
        key_prefix=spec.name, group_name=monitoring_group(spec), owners=[spec.owner],
        backfill_policy=dg.BackfillPolicy.single_run(),
        **{"partitions_def": _days(spec), **options},
    )  # fmt: skip
    return decorate


def _days(spec: ModelSpec) -> dg.DailyPartitionsDefinition:
    return watched_days(load_settings(), spec.source)


def _said_by(spec: ModelSpec) -> list[Any]:
    """What becomes of answers is in: of lists the raw events, of predicted events the spine, as far as it has come."""
    if spec.ranks:
        return ["stg_events"]
    days = dg.TimeWindowPartitionMapping(allow_nonexistent_upstream_partitions=True)  # the source may have ended
    return [dg.AssetDep(dg.AssetKey([spec.spine]), partition_mapping=days)]


def monitoring_assets(spec: ModelSpec) -> list[dg.AssetsDefinition | dg.AssetChecksDefinition]:
    """Log, predictions, drift, quality, skew and service level of one model, with their checks."""
    return [*_log_assets(spec), *_drift(spec), *_quality(spec), *_skew(spec), *_service_level(spec)]


def _log_assets(spec: ModelSpec) -> list[dg.AssetsDefinition | dg.AssetChecksDefinition]:
    @watching(
        spec, deps=[dg.AssetKey([spec.name, "deployment"])], kinds={"bentoml", "parquet"},
        partitions_def=source_hours(load_settings(), spec.source),
    )  # fmt: skip
    def prediction_log(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        """What the service logged, hour by hour: each line exactly once, whatever happened to the files."""
        from ml_assets.predictions import collect, hour_counts

        settings, window = load_settings(), context.partition_time_window
        collected = collect(settings, spec.name)
        context.log.info(collected.text)
        return dg.MaterializeResult(metadata=hour_counts(settings, spec.name, window.start, window.end))

    became = "what the customers did with them" if spec.ranks else "what became of the events"

    @watching(
        spec, deps=[prediction_log, *_said_by(spec)], kinds={"duckdb", "parquet"}, pool="warehouse",
        description=f"A day's answers and what they scored, with {became}, as far as known by now.",
    )  # fmt: skip
    def predictions(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        from ml_assets.predictions import collect, due_again, publish_day

        settings, (first, last) = load_settings(), days_of(context)
        context.log.info(collect(settings, spec.name).text)
        for day in due_again(settings, spec, first):
            publish_day(settings, spec, day)  # what became of answers may be known days later
        tables = [publish_day(settings, spec, day) for day in days_between(first, last)]
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": sum(table.shown for table in tables),
                "answers": sum(table.predictions for table in tables),
                **{name: sum(table.outcomes[name] for table in tables) for name in tables[0].outcomes},
                "path": dg.MetadataValue.path(tables[-1].path),
            }
        )

    @dg.asset_check(asset=predictions, blocking=True, partitions_def=_days(spec))
    def exactly_once(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        """Every complete line of the service's log is in the tables, none of them twice."""
        from ml_assets.predictions import account

        accounts = [account(load_settings(), spec.name, day) for day in days_between(*days_of(context))]
        wrong = [each for each in accounts if not each.ok]
        return dg.AssetCheckResult(passed=not wrong, description=(wrong or accounts)[-1].text)

    return [prediction_log, predictions, exactly_once]


def _drift(spec: ModelSpec) -> list[dg.AssetsDefinition | dg.AssetChecksDefinition]:
    looked = "Features, scores and demand" if spec.ranks else "Features and scores"

    @watching(
        spec, deps=[dg.AssetKey([spec.name, "predictions"]), *(["stg_events", "stg_products"] if spec.ranks else [])],
        kinds={"duckdb", "evidently"}, pool="warehouse",
        description=f"{looked} against the days before, weighted by what the model looks at.",
    )  # fmt: skip
    def drift(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        from ml_assets.monitoring.drift import drift as judge
        from ml_assets.monitoring.evidently import draw
        from ml_assets.monitoring.pages import drift_page

        report, said = _judged(context, spec, judge, drift_page)
        evidently = _link(draw(spec, load_settings(), days_of(context)[1]))
        return dg.MaterializeResult(metadata={**said, "weighted_share": report.weighted_share, "evidently": evidently})

    @dg.asset_check(asset=drift, partitions_def=_days(spec))
    def no_persistent_drift(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        """No drift in what the model looks at holds for two of the newest three days."""
        from ml_assets.monitoring.drift import read_drift

        report = read_drift(load_settings(), spec.name, days_of(context)[1])
        return _warned(not report.persistent, report.text)

    return [drift, no_persistent_drift]


_QUALITY_OF_LISTS = (
    "Click and purchase rates and online NDCG, against the holdout's promise and against popularity.",
    "click_rate",
    "Customers use the answers as much as they did before, given what chance and the weekday explain.",
)
_QUALITY_OF_EVENTS = (
    "Skill, metrics and calibration of the predictions whose label is known, against the test part's promise.",
    "skill",
    "Predictions explain as much of the labels as they did before, given what chance and the weekday explain.",
)
"""What the asset is, its figure in the report, and what its check asks."""


def _quality(spec: ModelSpec) -> list[dg.AssetsDefinition | dg.AssetChecksDefinition]:
    told, figure, kept = _QUALITY_OF_LISTS if spec.ranks else _QUALITY_OF_EVENTS

    @watching(spec, deps=[dg.AssetKey([spec.name, "predictions"])], kinds={"duckdb"}, description=told)
    def quality(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        from ml_assets.monitoring.kinds import judge_quality, page_of_quality

        report, said = _judged(context, spec, judge_quality, page_of_quality)
        return dg.MaterializeResult(metadata={**said, figure: getattr(report, figure) or 0.0})

    @dg.asset_check(asset=quality, partitions_def=_days(spec), description=kept)
    def no_loss(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        from ml_assets.monitoring.kinds import quality_report

        report = quality_report(spec, load_settings(), days_of(context)[1])
        return _warned(report.ok, report.text)

    return [quality, no_loss]


def _skew(spec: ModelSpec) -> list[dg.AssetsDefinition | dg.AssetChecksDefinition]:
    @watching(spec, deps=[dg.AssetKey([spec.name, "predictions"])], kinds={"feast", "duckdb"}, pool="warehouse")
    def skew(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        """The features as served, recomputed offline at the same key and time."""
        from ml_assets.monitoring.pages import skew_page
        from ml_assets.monitoring.skew import skew as judge

        report, said = _judged(context, spec, judge, skew_page)
        return dg.MaterializeResult(metadata={**said, "dagster/row_count": report.rows})

    @dg.asset_check(asset=skew, partitions_def=_days(spec))
    def served_equals_recomputed(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        """The service used the feature values that training would have seen."""
        from ml_assets.monitoring.skew import read_skew

        report = read_skew(load_settings(), spec.name, days_of(context)[1])
        return dg.AssetCheckResult(passed=report.ok, description=report.text)

    return [skew, served_equals_recomputed]


def _service_level(spec: ModelSpec) -> list[dg.AssetsDefinition | dg.AssetChecksDefinition]:
    @watching(spec, deps=[dg.AssetKey([spec.name, "predictions"])], kinds={"duckdb"})
    def service_level(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        """Latency, errors and degraded answers against what the model's YAML promises."""
        from ml_assets.monitoring.levels import service_level as judge
        from ml_assets.monitoring.pages import level_page

        report, said = _judged(context, spec, judge, level_page)
        return dg.MaterializeResult(metadata={**said, "p99_ms": report.p99_ms or 0.0})

    @dg.asset_check(asset=service_level, partitions_def=_days(spec))
    def within_promise(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        """p99, errors and degraded answers stay within what `serving` in the model's YAML says."""
        from ml_assets.monitoring.levels import read_level

        report = read_level(load_settings(), spec.name, days_of(context)[1])
        return _warned(report.ok, report.text)

    return [service_level, within_promise]


def _judged(
    context: dg.AssetExecutionContext, spec: ModelSpec, judge: Callable[..., Any], page: Callable[..., Path]
) -> tuple[Any, dict[str, Any]]:
    """Judge each day of the run in turn; the last one's report, and what every such asset shows of it."""
    settings = load_settings()
    for day in days_between(*days_of(context)):
        report = judge(spec, settings, day)
        context.log.info(f"{day}: {report.text}")
    return report, {"state": report.state, "report": dg.MetadataValue.url(page(spec, settings, report).as_uri())}


def _warned(passed: bool, text: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=passed, severity=dg.AssetCheckSeverity.WARN, description=text)


def _link(page: Any) -> dg.MetadataValue:
    return dg.MetadataValue.text("no traffic") if page is None else dg.MetadataValue.url(page.as_uri())
