"""The life on one page: the click rate day by day with what happened, and the timeline."""

from __future__ import annotations

import io
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, select_autoescape
from markupsafe import Markup

from ml_assets.demo.loop.story import Point, Story
from ml_assets.reporting.figures import new_figure
from ml_assets.storage.files import write_text_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#2d6a8e", "#c8553d", "#8a9a5b", "#7d5ba6", "#b0a084")
FEW = 10
"""Answers of an arm on a day below which its rate says nothing."""
GREY, RED = "#7d8597", "#b3392f"


def write_page(story: Story, path: Path) -> None:
    """Write the page, whole or not at all."""
    folder = FileSystemLoader(Path(__file__).parent / "templates")
    template = Environment(loader=folder, autoescape=select_autoescape()).get_template("loop.html")
    curve = Markup(curve_svg(story))  # noqa: S704  # our own drawing
    write_text_atomically(path, template.render(story=story, curve=curve))


def curve_svg(story: Story) -> str:
    """The click rate of each model version by day, with its standard error; above it what happened when."""
    figure = new_figure(11, 4.4)
    axes = figure.subplots()
    if story.curve:
        _lines(axes, story.curve)
        _marks(axes, story)
    axes.set_ylabel("answers with a click, %")
    axes.set_ylim(bottom=0)
    axes.xaxis_date()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.autofmt_xdate(rotation=0, ha="center")
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None})
    svg = drawn.getvalue()
    return svg[svg.index("<svg") :]


def _lines(axes: Axes, curve: list[Point]) -> None:
    axes.plot(
        [_at(point.day) for point in curve],
        [100 * point.click_rate for point in curve],
        color=GREY, linewidth=1, zorder=1, label="all answers",
    )  # fmt: skip
    versions = {version for point in curve for version in point.by_version}
    for number, version in enumerate(sorted(versions, key=lambda version: _first(curve, version))):
        counts = ((point.day, *point.by_version.get(version, (0, 0))) for point in curve)
        found = [(day, answers, clicked) for day, answers, clicked in counts if answers >= FEW]
        rate = [clicked / answers for _, answers, clicked in found]
        error = [100 * (p * (1 - p) / n) ** 0.5 for p, (_, n, _) in zip(rate, found, strict=True)]
        axes.errorbar(
            [_at(day) for day, _, _ in found], [100 * p for p in rate], yerr=error,
            fmt="o", markersize=5, capsize=2, color=COLOURS[number % len(COLOURS)], label=version, zorder=2,
        )  # fmt: skip
    axes.legend(frameon=False, fontsize=8, loc="lower left", ncols=2)


def _at(day: date) -> float:
    """Where a day lies on the axis."""
    from matplotlib.dates import date2num

    return float(date2num(day))  # type: ignore[no-untyped-call]  # the library has no types here


def _first(curve: list[Point], version: str) -> tuple[date, str]:
    return min(point.day for point in curve if version in point.by_version), version


def _marks(axes: Axes, story: Story) -> None:
    top = max(100 * point.click_rate for point in story.curve) * 1.25
    axes.axvline(_at(story.changed_on), color=RED, linewidth=1, linestyle=":")
    axes.text(_at(story.changed_on), top, f" {story.scenario}", color=RED, fontsize=8, va="top")
    for point in story.curve:
        if point.alarms:
            axes.plot(_at(point.day), 100 * point.click_rate, "v", color=RED, markersize=10, zorder=3)
