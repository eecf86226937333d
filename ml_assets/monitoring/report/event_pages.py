"""The quality of predicted events as a page: verdict first, then skill and calibration by day and over the window."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.evaluation.charts import BAD, OTHERS
from ml_assets.monitoring.quality.event_measures import EventDay, EventWindow
from ml_assets.monitoring.quality.event_quality import EventQualityReport
from ml_assets.monitoring.quality.rates import Estimate
from ml_assets.monitoring.quality.verdict import QUALITY
from ml_assets.monitoring.report.charts import MODEL, OTHER, SHADE, beside, day_ticks, figure, plain
from ml_assets.monitoring.report.pages import write_page
from ml_assets.registry.release import Arm
from ml_assets.reporting.figures import inline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Points = Sequence[tuple[EventDay, Estimate]]


def event_quality_page(spec: ModelSpec, settings: Settings, report: EventQualityReport) -> Path:
    """Write the page of a day's quality beside the report; returns where."""
    judged = "The predictions are worth less than they were" if report.loss else "No loss of quality"
    mine = [each for each in report.window if (each.arm, each.version) == (Arm.CHAMPION, report.version)]
    days = [each for each in report.days if each.arm == Arm.CHAMPION]
    known = any(each.labelled for each in days)
    return write_page(
        spec, settings, QUALITY, report,
        template="event_quality",
        topic="quality",
        headline=judged if report.state == "judged" else report.state.capitalize(),
        own=mine[0] if mine else None,
        called=spec.says,
        pictures={
            "skill": inline(lambda: skill_figure(report, days, spec.monitoring.quality.loss)) if known else None,
            "means": inline(lambda: means_figure(report.day, days)) if known else None,
            "calibration": inline(lambda: calibration_figure(report, mine[0])) if mine and mine[0].bins else None,
        },
    )  # fmt: skip


def skill_figure(report: EventQualityReport, days: Sequence[EventDay], loss: float) -> Figure:
    """Skill of each day with 95 % intervals, versions by colour; hollow where labels still arrive.

    Black ticks are what was expected of judged days, red ones where a loss begins to matter.
    """
    drawn, start = figure(3.4), days[0].day
    axes = drawn.subplots()
    versions = list(dict.fromkeys(each.version for each in days))
    for at, version in enumerate(versions):
        colour = (MODEL, OTHER, *OTHERS)[at % (2 + len(OTHERS))]
        own = [(each, each.skill) for each in days if each.version == version and each.skill is not None]
        _points(axes, own, start, colour=colour, label=f"version {version}")
    if report.promise and report.promise.skill and report.promise.skill.interval:
        low, high = report.promise.skill.interval
        axes.axhspan(low, high, color=SHADE, zorder=0, label=f"promised ({report.promise.part})")
    for number, each in enumerate(report.verdict.days if report.verdict else ()):
        at, labels = (each.day - start).days, ("", "") if number else ("expected", f"{loss:.0%} less")  # named once
        axes.hlines(each.expected, at - 0.4, at + 0.4, color="#23252b", lw=1.6, label=labels[0])
        axes.hlines(each.expected - loss * abs(each.expected), at - 0.4, at + 0.4, color=BAD, lw=1.6, label=labels[1])
    axes.axhline(0, color="#23252b", lw=0.6)
    axes.set_ylabel("skill (0: the mean label)")
    return _finished(drawn, axes, start, report.day)


def means_figure(day: date, days: Sequence[EventDay]) -> Figure:
    """Mean prediction and mean label of each day's labelled rows, with 95 % intervals of the latter."""
    drawn, start = figure(3.0), days[0].day
    axes = drawn.subplots()
    told = [(each, each.predicted) for each in days if each.predicted is not None]
    places = [(each.day - start).days for each, _ in told]
    axes.plot(places, [found.value or 0.0 for _, found in told], "_", ms=13, mew=2.2, color=OTHER, label="predicted")
    _points(axes, [(each, each.observed) for each in days if each.observed], start, colour=MODEL, label="observed")
    axes.set_ylabel("mean of the day")
    return _finished(drawn, axes, start, day)


def calibration_figure(report: EventQualityReport, own: EventWindow) -> Figure:
    """Mean label against mean prediction of ten bins: the window's with intervals, the promised ones as a line."""
    drawn = figure(4.0)
    axes = drawn.subplots()
    if report.promise:
        promised = report.promise.bins
        axes.plot(
            [each.predicted for each in promised], [each.observed for each in promised], "-", color=OTHERS[1], lw=1.4,
            label=f"promised ({report.promise.part})",
        )  # fmt: skip
    axes.errorbar(
        [each.predicted for each in own.bins], [each.observed for each in own.bins],
        yerr=[each.interval[1] - each.observed for each in own.bins], fmt="o", ms=4.5, lw=1.3, color=MODEL,
        label="observed, 95 %",
    )  # fmt: skip
    ends = [min(each.predicted for each in own.bins), max(each.predicted for each in own.bins)]
    axes.plot(ends, ends, "--", color="#23252b", lw=0.8, label="as predicted")
    axes.set_xlabel("mean prediction", fontsize=9)
    axes.set_ylabel("mean label")
    beside(axes)
    plain(axes)
    return drawn


def _points(axes: Axes, found: Points, start: date, *, colour: str, label: str) -> None:
    """Points with intervals at the days' places; filled when mature."""
    for mature in (True, False):
        chosen = [(each, one) for each, one in found if each.mature == mature and one.value is not None]
        if chosen:
            axes.errorbar(
                [(each.day - start).days for each, _ in chosen], [one.value or 0.0 for _, one in chosen],
                yerr=[1.96 * (one.error or 0.0) for _, one in chosen], fmt="o", ms=4, lw=1.2, color=colour,
                mfc=colour if mature else "white", label=label if mature else f"{label}, labels still arrive",
            )  # fmt: skip


def _finished(drawn: Figure, axes: Axes, start: date, end: date) -> Figure:
    day_ticks(axes, start, end)
    beside(axes)
    plain(axes)
    return drawn
