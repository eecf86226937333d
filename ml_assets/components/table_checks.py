"""What is checked of a raw table, for every day of a run."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import dagster as dg

from ml_assets.components.daily_checks import Evaluations, Verdict, daily_check, each_day
from ml_assets.components.days import days_of
from ml_assets.config.settings import load_settings
from ml_assets.config.source_spec import SourceSpec, TableSpec
from ml_assets.execution.runs import CAUSE
from ml_assets.ingestion.days.report import DayReport, IngestReport

NOTHING = "no row came in"
UNPUBLISHED = Verdict(None, "the day was not published")
EVERY_DAY = "every_day_published"
"""The check that turns a run red in which some days could not be published, and holds up nothing."""


def table_checks(
    source: SourceSpec, table: TableSpec, key: dg.AssetKey, days: dg.DailyPartitionsDefinition
) -> list[dg.AssetChecksDefinition]:
    """Two checks that block, on what was set aside and on what is there at all; the others hold up nothing."""
    shared: dict[str, Any] = {"asset": key, "partitions_def": days}
    return [
        _quarantine(table, shared),
        _nothing_lost(table, shared),
        _usual(source, table, shared),
        _gaps(source, table, shared),
        _every_day(table, shared),
    ]


def _quarantine(table: TableSpec, shared: Mapping[str, Any]) -> dg.AssetChecksDefinition:
    @daily_check(name="quarantine_within_limit", blocking=True, **shared)
    def quarantine_within_limit(context: dg.AssetCheckExecutionContext) -> Evaluations:
        """No more rows than the contract tolerates were set aside, in the sum and on each day."""
        from ml_assets.ingestion.days.report import decide_quarantine

        by_day = _reports(context, table)
        whole = decide_quarantine(IngestReport(table.name, tuple(by_day.values())), table)

        def judge(day: date) -> Verdict:
            if day not in by_day:
                return UNPUBLISHED
            own = decide_quarantine(IngestReport(table.name, (by_day[day],)), table)
            passed = day not in whole.failed_days if by_day[day].rows_in else None
            return Verdict(passed, own.text if by_day[day].rows_in else NOTHING, own.share, {"share": own.share})

        anything = any(report.rows_in for report in by_day.values())
        said = Verdict(whole.ok, whole.text, metadata={"share": whole.share}) if anything else Verdict(None, NOTHING)
        yield from each_day(context, judge, whole=said)

    return quarantine_within_limit


def _nothing_lost(table: TableSpec, shared: Mapping[str, Any]) -> dg.AssetChecksDefinition:
    @daily_check(name="nothing_lost", blocking=True, **shared)
    def nothing_lost(context: dg.AssetCheckExecutionContext) -> Evaluations:
        """Every row that came in is in the lake, in quarantine, or removed on purpose; `derive` is told apart."""
        from ml_assets.ingestion.audit import count_rows

        lake, by_day = load_settings().lake, _reports(context, table)
        counted = {day: count_rows(lake, table.name, [day]) for day in by_day}
        good, bad = (sum(rows) for rows in zip(*counted.values(), strict=True))

        def judge(day: date) -> Verdict:
            if day not in by_day:
                return UNPUBLISHED
            return _counted(IngestReport(table.name, (by_day[day],)), *counted[day])

        whole = _counted(IngestReport(table.name, tuple(by_day.values())), good, bad)
        yield from each_day(context, judge, whole=whole)

    return nothing_lost


def _usual(source: SourceSpec, table: TableSpec, shared: Mapping[str, Any]) -> dg.AssetChecksDefinition:
    @daily_check(name="usual_traffic", **shared)
    def usual_traffic(context: dg.AssetCheckExecutionContext) -> Evaluations:
        """Each day looks like the days before it: volume, mix, empty values. Broken tracking is not drift."""
        from ml_assets.ingestion.traffic import traffic_of

        found = traffic_of(load_settings(), source, table.name, list(_reports(context, table)))

        def judge(day: date) -> Verdict:
            return Verdict(found[day].passed, found[day].text, found[day].weight) if day in found else UNPUBLISHED

        yield from each_day(context, judge)

    return usual_traffic


def _gaps(source: SourceSpec, table: TableSpec, shared: Mapping[str, Any]) -> dg.AssetChecksDefinition:
    @daily_check(name="no_gaps", **shared)
    def no_gaps(context: dg.AssetCheckExecutionContext) -> Evaluations:
        """The table has every day of its calendar so far: a gap is told with its days, and stops nothing."""
        from ml_assets.ingestion.days.gaps import gaps

        found = gaps(source, table.name, load_settings(), days_of(context)[1])
        figures = {"days_missing": len(found.days), "days_there": found.there}

        def judge(day: date) -> Verdict:
            there = day not in found.days
            return Verdict(there, f"{table.name} of {day}: {'no gap' if there else 'nothing'}")

        whole = Verdict(not found.days, found.text, metadata=figures)
        yield from each_day(context, judge, severity=dg.AssetCheckSeverity.WARN, whole=whole)

    return no_gaps


def _every_day(table: TableSpec, shared: Mapping[str, Any]) -> dg.AssetChecksDefinition:
    key = shared["asset"]
    spec = dg.AssetCheckSpec(
        EVERY_DAY, asset=key, partitions_def=shared["partitions_def"],
        description="Every day of the run was published; a run that lacks one is red, and goes on with the others.",
    )  # fmt: skip

    @dg.multi_asset_check(name=f"{key.to_python_identifier()}_{EVERY_DAY}", specs=[spec])
    def every_day_published(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        from ml_assets.ingestion.days.refusals import unpublished

        found = unpublished(load_settings().lake, table.name, *days_of(context))
        yield dg.AssetCheckResult(
            passed=not found.days, description=found.text, asset_key=key, check_name=EVERY_DAY,
            metadata={"days_not_published": len(found.days)},
        )  # fmt: skip
        if found.failed or (found.days and CAUSE not in context.run.tags):
            raise dg.Failure(found.text)

    return every_day_published


def _reports(context: dg.AssetCheckExecutionContext, table: TableSpec) -> dict[date, DayReport]:
    from ml_assets.ingestion.days.ledger import read_report

    return {report.day: report for report in read_report(load_settings().lake, table.name, *days_of(context)).days}


def _counted(report: IngestReport, good: int, bad: int) -> Verdict:
    """Rows that came in beside good, quarantined and removed ones; `derive` may have made nothing of others."""
    rows_in, left_out, removed = report.rows_in, report.rows_left_out, report.rows_removed
    if not rows_in and not left_out and not good + bad:
        return Verdict(None, NOTHING)
    said = f"; `derive` made nothing of {left_out:,} raw rows" if left_out else ""
    gone = "".join(f" + {count:,} {why}" for why, count in removed.items())
    text = f"{rows_in:,} in = {good:,} good + {bad:,} quarantined{gone}{said}"
    lost = rows_in - good - bad - sum(removed.values())
    return Verdict(lost == 0, text, abs(lost), {"rows_left_out_by_derive": left_out})
