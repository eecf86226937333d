"""The daily tables of predictions, as far as they are published."""

from __future__ import annotations

from datetime import date, timedelta

from ml_assets.config.settings import Settings
from ml_assets.prediction_log import day_folder
from ml_assets.registry.release import STALE


def published_days(settings: Settings, model: str, first: date, last: date) -> list[date]:
    """The days from `first` to `last` whose table is published, ascending."""
    days = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return [day for day in days if (day_folder(settings, model, day) / "predictions.parquet").is_file()]


WHOLE = f"len(list_filter(degraded, lambda part: part <> '{STALE}')) = 0"
"""SQL: the answer was made from all it needs; old features are the service level's matter, and are what was served."""
