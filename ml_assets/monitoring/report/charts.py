"""The pictures of the monitoring pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import TYPE_CHECKING

from ml_assets.config.model_spec import ServingSpec
from ml_assets.evaluation.charts import BAD, GOOD, OTHERS, UNCLEAR
from ml_assets.monitoring.quality.ranking_quality import DayQuality, QualityReport
from ml_assets.monitoring.quality.rates import Estimate
from ml_assets.monitoring.service_level import LevelReport
from ml_assets.monitoring.skew.daily import FeatureSkew
from ml_assets.registry.release import Arm
from ml_assets.reporting.figures import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MODEL, OTHER = "#c8553d", "#2d6a8e"
SHADE = "#f0ece2"
WIDE = 9.6
FEATURES_SHOWN = 15


def figure(height: float) -> Figure:
    """An empty figure as wide as a page."""
    return new_figure(WIDE, height)


def plain(axes: Axes) -> None:
    """Without a box, with small ticks."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=8)


def beside(axes: Axes) -> None:
    """The legend beside the picture, out of its way."""
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))


def click_rate_figure(report: QualityReport, loss: float) -> Figure:
    """Click rate of each day with 95 % intervals: versions by colour, popularity's band, and what was expected.

    Hollow points are days whose outcomes still form; the red ticks are where a loss begins to matter.
    """
    drawn = figure(3.6)
    axes = drawn.subplots()
    start = min((each.day for each in report.days), default=report.day)
    versions = list(dict.fromkeys(each.version for each in report.days if each.arm == Arm.CHAMPION))
    for at, version in enumerate(versions):
        colour = (MODEL, OTHER, *OTHERS)[at % (2 + len(OTHERS))]
        days = [each for each in report.days if (each.arm, each.version) == (Arm.CHAMPION, version)]
        _points(axes, days, start, colour=colour, label=f"version {version}")
        if at:
            axes.axvline((days[0].day - start).days - 0.5, color=colour, lw=0.8, ls="--")
    _popularity(axes, report)
    for number, each in enumerate(report.verdict.days if report.verdict else ()):
        at = (each.day - start).days
        labels = ("", "") if number else ("expected", f"{loss:.0%} less")  # named once
        axes.hlines(each.expected, at - 0.4, at + 0.4, color="#23252b", lw=1.6, label=labels[0])
        axes.hlines(each.expected * (1 - loss), at - 0.4, at + 0.4, color=BAD, lw=1.6, label=labels[1])
    day_ticks(axes, start, report.day)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("answers with a click")
    axes.yaxis.set_major_formatter("{x:.0%}")
    beside(axes)
    plain(axes)
    return drawn


def _popularity(axes: Axes, report: QualityReport) -> None:
    """The held-back customers' rate over the window, as a band: single days of so few say nothing."""
    if report.baseline is None or report.baseline.holdback.interval is None:
        return
    low, high = report.baseline.holdback.interval
    axes.axhspan(max(low, 0.0), high, color=SHADE, zorder=0)
    axes.axhline(report.baseline.holdback.value or 0.0, color=UNCLEAR, lw=1.2, label="popularity (held back)")


def _points(axes: Axes, days: Sequence[DayQuality], start: date, *, colour: str, label: str) -> None:
    """Points with intervals at the days' places; filled when mature."""
    for mature in (True, False):
        chosen = [each for each in days if each.mature == mature and each.click_rate.value is not None]
        if not chosen:
            continue
        values = [each.click_rate.value or 0.0 for each in chosen]
        axes.errorbar(
            [(each.day - start).days for each in chosen],
            values,
            yerr=[1.96 * (each.click_rate.error or 0.0) for each in chosen],
            fmt="o", ms=4, lw=1.2, color=colour, mfc=colour if mature else "white",
            label=label if mature else f"{label}, outcomes still form",
        )  # fmt: skip


def day_ticks(axes: Axes, start: date, end: date) -> None:
    """About ten ticks that name days, one place per day since `start`."""
    span = max((end - start).days, 1)
    step = max(1, span // 10)
    axes.set_xlim(-0.6, span + 0.6)
    axes.set_xticks(
        range(0, span + 1, step), [str(date.fromordinal(start.toordinal() + n))[5:] for n in range(0, span + 1, step)]
    )


def estimates_figure(rows: Sequence[tuple[str, Estimate | None, str]], title: str) -> Figure:
    """Estimates with 95 % intervals, one row each: (label, estimate, colour)."""
    known = [(label, each, tint) for label, each, tint in rows if each is not None and each.value is not None]
    drawn = figure(0.32 * len(known) + 0.9)
    axes = drawn.subplots()
    for height, (_, each, tint) in enumerate(reversed(known)):
        value = each.value or 0.0
        axes.plot(each.interval or (value, value), [height, height], color=tint, lw=2, solid_capstyle="round")
        axes.plot([value], [height], "o", color=tint, ms=5.5)
    axes.set_yticks(range(len(known)), [f"{label}  ({each.count:,})" for label, each, _ in reversed(known)])
    axes.set_ylim(-0.7, len(known) - 0.3)
    axes.set_xlabel(title, fontsize=9)
    plain(axes)
    return drawn


def skew_figure(features: Iterable[FeatureSkew], tolerated: float) -> Figure:
    """Share of values that differ of the worst features; the dashed line is what is tolerated."""
    worst = [each for each in features if each.differing][:FEATURES_SHOWN]
    drawn = figure(0.27 * len(worst) + 0.9)
    axes = drawn.subplots()
    tints = [BAD if each.share > tolerated else UNCLEAR for each in reversed(worst)]
    axes.barh([each.name for each in reversed(worst)], [each.share for each in reversed(worst)], color=tints)
    axes.axvline(tolerated, color="#23252b", lw=0.8, ls="--")
    axes.set_xlabel("share of values that differ", fontsize=9)
    axes.xaxis.set_major_formatter("{x:.1%}")
    plain(axes)
    return drawn


def latency_figure(report: LevelReport, promised: ServingSpec) -> Figure:
    """Latency by hour against the promise, and below it the hour's answers, degraded answers and errors."""
    drawn = figure(4.4)
    above, under = drawn.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    hours = [each.name for each in report.hours]
    for name, width, tint in (("p50_ms", 1.6, OTHER), ("p95_ms", 1.6, OTHERS[0]), ("p99_ms", 2.4, MODEL)):
        values = [getattr(each, name) for each in report.hours]
        known = [float("nan") if value is None else value for value in values]
        above.plot(hours, known, "o-", ms=3.5, lw=width, color=tint, label=name[:3])
    above.axhline(promised.p99_ms, color=BAD, lw=1, ls="--", label="p99 promised")
    above.set_ylim(bottom=0)
    above.set_ylabel("milliseconds")
    good = [each.answers - each.degraded for each in report.hours]
    degraded = [each.degraded for each in report.hours]
    under.bar(hours, good, color=GOOD, label="answers")
    under.bar(hours, degraded, bottom=good, color=OTHERS[3], label="degraded")
    errors = [each.errors for each in report.hours]
    under.bar(hours, errors, bottom=[a + b for a, b in zip(good, degraded, strict=True)], color=BAD, label="errors")
    under.tick_params(axis="x", rotation=60)
    for axes in (above, under):
        beside(axes)
        plain(axes)
    return drawn
