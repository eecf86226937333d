"""The calendar that the partitions of a source share: its days; and the hours and days of its services."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import cache

import dagster as dg

from ml_assets.ingestion.beside import source_of
from ml_assets.settings import SHOP, Settings


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


@cache
def _calendar(settings: Settings, source: str) -> tuple[date, date | None]:
    """First day, and the day after the last one."""
    calendar = source_of(source, settings).calendar
    return calendar.start, None if calendar.end is None else calendar.end + timedelta(days=1)
