"""The reports as pages for people: verdict first, then figures and pictures; self-contained, no script."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.evaluation.charts import UNCLEAR
from ml_assets.evaluation.report import UNDEFINED
from ml_assets.monitoring.drift.daily import DRIFT, read_drift
from ml_assets.monitoring.drift.summary import DriftReport
from ml_assets.monitoring.population import population_of
from ml_assets.monitoring.quality.ranking_quality import QualityReport
from ml_assets.monitoring.quality.rates import Estimate
from ml_assets.monitoring.quality.verdict import QUALITY
from ml_assets.monitoring.report import charts, drift_charts
from ml_assets.monitoring.reports import report_path
from ml_assets.monitoring.service_level import LEVEL, LevelReport
from ml_assets.monitoring.skew.daily import SKEW, SkewReport
from ml_assets.registry.release import Arm
from ml_assets.reporting.figures import inline
from ml_assets.storage.files import write_text_atomically

if TYPE_CHECKING:
    import jinja2

_TEMPLATES = Path(__file__).parent / "templates"


HISTORY_DAYS = 28
"""Days of earlier drift reports in the picture of its history."""


def drift_page(spec: ModelSpec, settings: Settings, report: DriftReport) -> Path:
    """Write the page of a day's drift beside the report; returns where."""
    judged, rules = report.state == "judged", spec.monitoring.drift
    pictures: dict[str, str | None] = {}
    if judged:
        bins = drift_charts.bins_figure(report)
        pictures = {
            "weights": inline(lambda: drift_charts.weights_figure(report, rules.excess_psi)),
            "bins": None if bins is None else inline(lambda: bins),
            "history": inline(lambda: drift_charts.history_figure(_history(settings, report), rules.weight)),
        }
    said = "Persistent drift" if report.persistent else "Drift on this day" if report.alarm else "No drift"
    return write_page(
        spec, settings, DRIFT, report,
        topic="drift",
        headline=said if judged else report.state.capitalize(),
        fine=not report.alarm and not report.persistent,
        pictures=pictures,
        columns=drift_charts.leading(report.features),
        called=population_of(spec).called,
    )  # fmt: skip


def _history(settings: Settings, report: DriftReport) -> list[DriftReport]:
    """The judged days before the report's, as far as their reports are there, and the report."""
    days = [report.day - timedelta(days=number) for number in range(HISTORY_DAYS, 0, -1)]
    known = [day for day in days if report_path(settings, report.model, DRIFT, day).exists()]
    before = (read_drift(settings, report.model, day) for day in known)
    return [*(each for each in before if each.state == "judged"), report]


def level_page(spec: ModelSpec, settings: Settings, report: LevelReport) -> Path:
    """Write the page of a day's service level beside the report; returns where."""
    judged = report.state == "judged"
    kept = "The service kept its promise" if report.ok else "The service broke its promise"
    return write_page(
        spec, settings, LEVEL, report,
        topic="service level",
        headline=kept if judged else "No traffic",
        pictures={"hours": inline(lambda: charts.latency_figure(report, spec.serving))} if judged else {},
    )  # fmt: skip


def skew_page(spec: ModelSpec, settings: Settings, report: SkewReport) -> Path:
    """Write the page of a day's training-serving skew beside the report; returns where."""
    differ = report.worst > 0
    picture = charts.skew_figure(report.features, spec.monitoring.max_skew_share) if differ else None
    said = "Served as trained" if report.ok else "Served otherwise than trained"
    return write_page(
        spec, settings, SKEW, report,
        topic="training-serving skew",
        headline=said if report.state == "judged" else report.state.capitalize(),
        pictures={"features": None if picture is None else inline(lambda: picture)},
    )  # fmt: skip


def quality_page(spec: ModelSpec, settings: Settings, report: QualityReport) -> Path:
    """Write the page of a day's quality beside the report; returns where."""
    rows = _promised(report)
    loss, called = spec.monitoring.quality.loss, f"NDCG@{report.k} of lists with a hit"
    judged = "The click rate is lower than it was" if report.loss else "No loss of quality"
    return write_page(
        spec, settings, QUALITY, report,
        topic="quality",
        headline=judged if report.state == "judged" else report.state.capitalize(),
        pictures={
            "days": inline(lambda: charts.click_rate_figure(report, loss)) if report.days else None,
            "promise": inline(lambda: charts.estimates_figure(rows, called)) if rows else None,
        },
    )  # fmt: skip


def _promised(report: QualityReport) -> list[tuple[str, Estimate | None, str]]:
    """Rows of the picture that sets the shown lists beside the evaluation's."""
    arms = {(each.arm, each.version): each.measures["click_ndcg"] for each in report.window}
    held = [found for (arm, _), found in arms.items() if arm == Arm.HOLDBACK]
    told = report.promise
    rows = [
        ("champion, shown", arms.get((Arm.CHAMPION.value, report.version or "")), charts.MODEL),
        (f"its lists on the {told.part}", told.ndcg, charts.MODEL) if told else ("", None, ""),
        ("popularity, shown (held back)", held[0] if held else None, UNCLEAR),
        (f"popularity on the {told.part}", told.popular_ndcg, UNCLEAR) if told else ("", None, ""),
    ]
    return [row for row in rows if row[1] is not None and row[1].value is not None]


def write_page(
    spec: ModelSpec, settings: Settings, name: str, report: Any, template: str | None = None, **values: Any
) -> Path:
    """Render `<template or name>.html` with the report to the page beside it; it is `fine` when the report passed."""
    path = report_path(settings, spec.name, name, report.day, "html")
    verdict = {"fine": bool(report.passed), "idle": report.passed is None}
    page = environment().get_template(f"{template or name}.html")
    write_text_atomically(path, page.render(spec=spec, report=report, **{**verdict, **values}))
    return path


def environment(*beside: Path) -> jinja2.Environment:
    """What renders pages: the templates here, and those of other folders that extend their `base.html`."""
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader([*beside, _TEMPLATES]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    made.filters.update(number=_number, signed=_signed, percent=_percent, ms=_milliseconds)
    return made


def _number(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:.3f}"


def _signed(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:+.4f}"


def _percent(value: float | None) -> str:
    if value is None:
        return UNDEFINED
    return (f"{value:.1%}" if abs(value) >= 0.1 else f"{value:.2%}").replace("%", "\u2009%")


def _milliseconds(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:.1f}\u2009ms"
