"""The calendar every daily partition of a shop shares."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg

from ml_assets.settings import Settings


def shop_days(settings: Settings) -> dg.DailyPartitionsDefinition:
    """Daily partitions from the shop's first day to its last one (or to yesterday, when it is still trading)."""
    from ml_assets.ingestion.spec import load_source

    calendar = load_source(settings.shop_file).calendar
    end = None if calendar.end is None else (calendar.end + timedelta(days=1)).isoformat()
    return dg.DailyPartitionsDefinition(start_date=calendar.start.isoformat(), end_date=end)
