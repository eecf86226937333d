"""The assets that watch a deployed model: its log, its predictions with outcomes, drift, quality, skew, latency."""

from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg

from ml_assets.components.daily_checks import Evaluations, Verdict, daily_check, each_day
from ml_assets.components.days import ONE_RUN, days_of, source_hours, watched_days
from ml_assets.components.tags import MODEL, SOURCE, WATCHES
from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import load_settings
from ml_assets.ingestion.days.ledger import days_between


def watching(spec: ModelSpec, **options: Any) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """`@dg.asset` for a daily asset that watches this model."""
    decorate: Callable[[Callable[..., Any]], dg.AssetsDefinition] = dg.asset(
        key_prefix=spec.name, group_name=f"{spec.name}_monitoring", owners=[spec.owner],
        backfill_policy=ONE_RUN, tags={MODEL: spec.name, SOURCE: spec.source, WATCHES: spec.name},
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
        from ml_assets.prediction_log import collect, hour_counts

        settings, window = load_settings(), context.partition_time_window
        collected = collect(settings, spec.name)
        (context.log.warning if collected.left else context.log.info)(collected.text)
        return dg.MaterializeResult(metadata=hour_counts(settings, spec.name, window.start, window.end))

    became = "what the customers did with them" if spec.ranks else "what became of the events"

    @watching(
        spec, deps=[prediction_log, *_said_by(spec)], kinds={"duckdb", "parquet"}, pool="warehouse",
        description=f"A day's answers and what they scored, with {became}, as far as known by now.",
    )  # fmt: skip
    def predictions(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        from ml_assets.prediction_log import collect, due_again, publish_day

        settings, (first, last) = load_settings(), days_of(context)
        collected = collect(settings, spec.name)
        (context.log.warning if collected.left else context.log.info)(collected.text)
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

    @daily_check(asset=predictions, blocking=True, partitions_def=_days(spec))
    def exactly_once(context: dg.AssetCheckExecutionContext) -> Evaluations:
        """Every complete line of the service's log makes sense and is in the tables, none of them twice."""
        from ml_assets.prediction_log import account

        settings = load_settings()

        def judge(day: date) -> Verdict:
            found = account(settings, spec.name, day)
            whole, anything = found.ok and not found.bad, found.lines or found.rows or found.table
            return Verdict(whole if anything or not whole else None, found.text)

        yield from each_day(context, judge)

    return [prediction_log, predictions, exactly_once]


def _drift(spec: ModelSpec) -> list[dg.AssetsDefinition | dg.AssetChecksDefinition]:
    looked = "Features, scores and demand" if spec.ranks else "Features and scores"

    @watching(
        spec, deps=[dg.AssetKey([spec.name, "predictions"]), *(["stg_events", "stg_products"] if spec.ranks else [])],
        kinds={"duckdb", "evidently"}, pool="warehouse",
        description=f"{looked} against the days before, weighted by what the model looks at.",
    )  # fmt: skip
    def drift(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        from ml_assets.monitoring.drift.daily import drift as judge
        from ml_assets.monitoring.drift.evidently import draw
        from ml_assets.monitoring.report.pages import drift_page

        report, said = _judged(context, spec, judge, drift_page)
        evidently = _link(draw(spec, load_settings(), days_of(context)[1]))
        return dg.MaterializeResult(metadata={**said, "weighted_share": report.weighted_share, "evidently": evidently})

    @daily_check(asset=drift, partitions_def=_days(spec))
    def no_persistent_drift(context: dg.AssetCheckExecutionContext) -> Evaluations:
        """No drift in what the model looks at holds for two of the newest three days."""
        from ml_assets.monitoring.drift.daily import read_drift

        yield from _said(context, partial(read_drift, load_settings(), spec.name))

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
        from ml_assets.monitoring.report.kinds import judge_quality, page_of_quality

        report, said = _judged(context, spec, judge_quality, page_of_quality)
        return dg.MaterializeResult(metadata={**said, figure: getattr(report, figure) or 0.0})

    @daily_check(asset=quality, partitions_def=_days(spec), description=kept)
    def no_loss(context: dg.AssetCheckExecutionContext) -> Evaluations:
        from ml_assets.monitoring.report.kinds import quality_report

        yield from _said(context, partial(quality_report, spec, load_settings()))

    return [quality, no_loss]


def _skew(spec: ModelSpec) -> list[dg.AssetsDefinition | dg.AssetChecksDefinition]:
    @watching(spec, deps=[dg.AssetKey([spec.name, "predictions"])], kinds={"feast", "duckdb"}, pool="warehouse")
    def skew(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        """The features as served, recomputed offline at the same key and time."""
        from ml_assets.monitoring.report.pages import skew_page
        from ml_assets.monitoring.skew.daily import skew as judge

        report, said = _judged(context, spec, judge, skew_page)
        return dg.MaterializeResult(metadata={**said, "dagster/row_count": report.rows})

    @daily_check(asset=skew, partitions_def=_days(spec))
    def served_equals_recomputed(context: dg.AssetCheckExecutionContext) -> Evaluations:
        """The service used the feature values that training would have seen."""
        from ml_assets.monitoring.skew.daily import read_skew

        yield from _said(context, partial(read_skew, load_settings(), spec.name), dg.AssetCheckSeverity.ERROR)

    return [skew, served_equals_recomputed]


def _service_level(spec: ModelSpec) -> list[dg.AssetsDefinition | dg.AssetChecksDefinition]:
    @watching(spec, deps=[dg.AssetKey([spec.name, "predictions"])], kinds={"duckdb"})
    def service_level(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        """Latency, errors and degraded answers against what the model's YAML promises."""
        from ml_assets.monitoring.report.pages import level_page
        from ml_assets.monitoring.service_level import service_level as judge

        report, said = _judged(context, spec, judge, level_page)
        return dg.MaterializeResult(metadata={**said, "p99_ms": report.p99_ms or 0.0})

    @daily_check(asset=service_level, partitions_def=_days(spec))
    def within_promise(context: dg.AssetCheckExecutionContext) -> Evaluations:
        """p99, errors and degraded answers stay within what `serving` in the model's YAML says."""
        from ml_assets.monitoring.service_level import read_level

        yield from _said(context, partial(read_level, load_settings(), spec.name))

    return [service_level, within_promise]


def _judged(
    context: dg.AssetExecutionContext, spec: ModelSpec, judge: Callable[..., Any], page: Callable[..., Path]
) -> tuple[Any, dict[str, Any]]:
    """Judge each day of the run in turn; the last one's report, and what every such asset shows of it.

    Days on which something was found have a page, and so has the last one.
    """
    settings, (first, last) = load_settings(), days_of(context)
    for day in days_between(first, last):
        report = judge(spec, settings, day)
        context.log.info(f"{day}: {report.text}")
        if day < last and report.passed is False:
            page(spec, settings, report)
    return report, {"state": report.state, "report": dg.MetadataValue.url(page(spec, settings, report).as_uri())}


def _said(
    context: dg.AssetCheckExecutionContext,
    read: Callable[[date], Any],
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.WARN,
) -> Evaluations:
    """What the reports of the run's days say."""

    def judge(day: date) -> Verdict:
        report = read(day)
        return Verdict(report.passed, report.text, report.weight)

    return each_day(context, judge, severity=severity)


def _link(page: Any) -> dg.MetadataValue:
    return dg.MetadataValue.text("no traffic") if page is None else dg.MetadataValue.url(page.as_uri())
