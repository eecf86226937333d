"""The prediction log as tables: hourly parts, each line exactly once, and daily tables with outcomes."""

from ml_assets.prediction_log.collect import Collected, collect, reread, uncollected
from ml_assets.prediction_log.daily_tables import (
    DayTable,
    day_folder,
    days_with_traffic,
    due_again,
    open_days,
    publish_day,
)
from ml_assets.prediction_log.partitions import Kind, hour_counts, part_files
from ml_assets.prediction_log.reconciliation import Account, account

__all__ = [
    "Account",
    "Collected",
    "DayTable",
    "Kind",
    "account",
    "collect",
    "day_folder",
    "days_with_traffic",
    "due_again",
    "hour_counts",
    "open_days",
    "part_files",
    "publish_day",
    "reread",
    "uncollected",
]
