"""The pictures of the drift page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

from ml_assets.evaluation.charts import BAD, OTHERS, UNCLEAR
from ml_assets.monitoring.drift.summary import SCORE, DriftReport, FeatureDrift
from ml_assets.monitoring.report.charts import MODEL, OTHER, beside, figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN = 20
PANELS = 6
LINES = 6
LABEL = 18


def weights_figure(report: DriftReport, tolerated: float) -> Figure:
    """What the model looks at most: share of the attribution, and beside it the PSI split into what explains it."""
    drawn = figure(0.25 * min(len(report.features), SHOWN) + 1.2)
    left, right = drawn.subplots(1, 2, sharey=True, width_ratios=(2, 3))
    shown = list(reversed(leading(report.features)[:SHOWN]))
    names = [each.name for each in shown]
    left.barh(names, [each.weight for each in shown], color=[BAD if each.drifted else UNCLEAR for each in shown])
    left.set_xlabel("share of the attribution (red: drifted)", fontsize=9)
    left.xaxis.set_major_formatter("{x:.0%}")
    explained = [min(each.noise + each.healthy, each.psi) for each in shown]
    rest = [max(each.psi - part, 0.0) for each, part in zip(shown, explained, strict=True)]
    right.barh(names, explained, color=OTHERS[1], label="chance and usual days")
    right.barh(names, rest, left=explained, color=MODEL, label="beyond them")
    right.axvline(tolerated, color="#23252b", lw=0.8, ls="--")
    right.set_xscale("symlog", linthresh=tolerated or 0.1)
    right.xaxis.set_major_formatter("{x:g}")
    right.set_xlabel(f"PSI (dashed: an excess of {tolerated:g} matters)", fontsize=9)
    right.legend(fontsize=8, frameon=False, loc="lower right")
    for axes in (left, right):
        plain(axes)
    return drawn


def bins_figure(report: DriftReport) -> Figure | None:
    """Shares of the bins, reference beside the day, of the features that drifted or weigh most."""
    shown = [each for each in leading(report.features) if each.bins][:PANELS]
    if not shown:
        return None
    drawn = figure(2.6 * -(-len(shown) // 3))
    panels = drawn.subplots(-(-len(shown) // 3), 3, squeeze=False).ravel()
    for axes, each in zip(panels, shown, strict=False):
        _bins(axes, each)
    for axes in panels[len(shown) :]:
        axes.set_axis_off()
    panels[0].legend(fontsize=7, frameon=False)
    return drawn


def _bins(axes: Axes, feature: FeatureDrift) -> None:
    at = range(len(feature.bins))
    axes.bar([n - 0.2 for n in at], [each.reference for each in feature.bins], 0.4, color=UNCLEAR, label="days before")
    axes.bar([n + 0.2 for n in at], [each.current for each in feature.bins], 0.4, color=MODEL, label="the day")
    axes.set_xticks(at, [each.label[:LABEL] for each in feature.bins], rotation=60, ha="right")
    axes.set_title(f"{feature.name}\nPSI {feature.psi:.2f}", fontsize=8.5, color=BAD if feature.drifted else "#23252b")
    axes.yaxis.set_major_formatter("{x:.0%}")
    plain(axes)
    axes.tick_params(labelsize=6.5)


def history_figure(reports: Sequence[DriftReport], alarm: float) -> Figure:
    """The days before and the day: PSI of the leading features, and the share of the attribution that drifted.

    Args:
        reports: judged days, ascending; the last one is the page's.
        alarm: share of the attribution that must drift for an alarm.
    """
    drawn = figure(4.2)
    above, under = drawn.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    days = [report.day for report in reports]
    for number, feature in enumerate(leading(reports[-1].features)[:LINES]):
        psi = [next((f.psi for f in report.features if f.name == feature.name), float("nan")) for report in reports]
        colour = (MODEL, OTHER, *OTHERS)[number % (2 + len(OTHERS))]
        above.plot(_at(days), psi, "o-", ms=3.5, lw=1.6, color=colour, label=feature.name)
    above.set_ylabel("PSI")
    above.set_ylim(bottom=0)
    tints = [BAD if report.alarm else UNCLEAR for report in reports]
    under.bar(_at(days), [report.weighted_share for report in reports], color=tints, label="drifted attribution")
    under.axhline(alarm, color="#23252b", lw=0.8, ls="--", label="alarm")
    under.yaxis.set_major_formatter("{x:.0%}")
    under.set_xticks(_at(days), [str(day)[5:] for day in days], rotation=60)
    for axes in (above, under):
        beside(axes)
        plain(axes)
    return drawn


def _at(days: Sequence[date]) -> list[int]:
    return [(day - days[0]).days for day in days]


def leading(features: Sequence[FeatureDrift]) -> list[FeatureDrift]:
    """Drifted columns first, in them the score, then by weight and PSI."""
    return sorted(features, key=lambda each: (not each.drifted, each.name != SCORE, -each.weight, -each.psi))
