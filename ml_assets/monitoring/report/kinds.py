"""How the quality of a model is told: of lists by what customers did, of predicted events by their labels."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.monitoring.quality.event_quality import event_quality, read_event_quality
from ml_assets.monitoring.quality.ranking_quality import quality, read_quality
from ml_assets.monitoring.quality.verdict import Quality
from ml_assets.monitoring.report.event_pages import event_quality_page
from ml_assets.monitoring.report.pages import quality_page


def judge_quality(spec: ModelSpec, settings: Settings, day: date) -> Quality:
    """Measure and judge a day; as `quality` and `event_quality`."""
    return quality(spec, settings, day) if spec.ranks else event_quality(spec, settings, day)


def quality_report(spec: ModelSpec, settings: Settings, day: date) -> Quality:
    """The day's report.

    Raises:
        FileNotFoundError: when the day was not judged yet.
    """
    return (read_quality if spec.ranks else read_event_quality)(settings, spec.name, day)


def page_of_quality(spec: ModelSpec, settings: Settings, report: Any) -> Path:
    """Write the page of a day's quality beside the report; returns where."""
    return (quality_page if spec.ranks else event_quality_page)(spec, settings, report)
