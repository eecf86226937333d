"""The prediction log as tables: hourly parts, each line exactly once, and daily tables with outcomes."""

from ml_assets.predictions.account import Account, account
from ml_assets.predictions.collect import Collected, collect, uncollected
from ml_assets.predictions.daily import DayTable, day_folder, days_with_traffic, due_again, open_days, publish_day
from ml_assets.predictions.parts import Kind, hour_counts, part_files

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
    "uncollected",
]
