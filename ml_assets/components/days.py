"""The calendar that the partitions of a source share: its days, those of a run, and the hours of its services."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any

import dagster as dg
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION as NO_EVENTS

from ml_assets.config.settings import SHOP, Settings
from ml_assets.config.sources import source_of
from ml_assets.ingestion.days.ledger import days_between

ONE_RUN = dg.BackfillPolicy.single_run()
"""Of every asset, also those without days: else `dg launch --partition-range` refuses a job that has it."""


def shop_days(settings: Settings) -> dg.DailyPartitionsDefinition:
    """Daily partitions from the shop's first day to its last one (or to yesterday, when it is still trading)."""
    return source_days(settings, SHOP)


def source_days(settings: Settings, source: str) -> dg.DailyPartitionsDefinition:
    """Daily partitions of a source's calendar; `shop` is the shop's."""
    start, end = _calendar(settings, source)
    return dg.DailyPartitionsDefinition(start_date=start.isoformat(), end_date=None if end is None else end.isoformat())


def source_hours(settings: Settings, source: str) -> dg.HourlyPartitionsDefinition:
    """Hours since the source's first day, without an end: a service may be asked long after the last raw file."""
    first = _calendar(settings, source)[0]
    return dg.HourlyPartitionsDefinition(start_date=datetime.combine(first, datetime.min.time()))


def watched_days(settings: Settings, source: str) -> dg.DailyPartitionsDefinition:
    """Days on which the models of a source are watched.

    Those of the shop on the shop's days, as the demand of its customers is. Those of a source beside it on the days on
    which they are asked: from its first day on, without an end.
    """
    if source == SHOP:
        return shop_days(settings)
    return dg.DailyPartitionsDefinition(start_date=_calendar(settings, source)[0].isoformat())


def days_of(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> tuple[date, date]:
    """First and last day of the run's partitions, both included."""
    window = context.partition_key_range
    return date.fromisoformat(window.start), date.fromisoformat(window.end)


def made_on(context: dg.AssetExecutionContext, output: dg.Output[Any], days: Sequence[date]) -> dg.Output[Any]:
    """The output of an asset that has these days now; other days of the run do not count as materialized."""
    if len(days) == len(days_between(*days_of(context))):
        return output
    key = context.op_execution_context.asset_key_for_output(output.output_name)
    for day in days:
        context.log_event(dg.AssetMaterialization(key, metadata=output.metadata, partition=day.isoformat()))
    return output.with_metadata({NO_EVENTS: True})


@cache
def _calendar(settings: Settings, source: str) -> tuple[date, date | None]:
    """First day, and the day after the last one."""
    calendar = source_of(source, settings).calendar
    return calendar.start, None if calendar.end is None else calendar.end + timedelta(days=1)
