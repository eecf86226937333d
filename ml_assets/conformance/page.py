"""The suite's verdicts as files beside the model's evaluations: JSON, and a page without script or address outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.conformance.verdict import Conformance, Outcome
from ml_assets.evaluation import charts
from ml_assets.evaluation.report import UNDEFINED
from ml_assets.monitoring.report import pages
from ml_assets.reporting.figures import inline, new_figure
from ml_assets.storage.files import write_text_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RESULT, REPORT = "result.json", "report.html"
TEMPLATES = Path(__file__).parent / "templates"


def conformance_folder(settings: Settings, name: str, version: str) -> Path:
    """Where a version's verdicts lie; checking it again replaces them."""
    return settings.model_home(name) / "conformance" / version


def publish(settings: Settings, spec: ModelSpec, report: Conformance) -> Path:
    """Write the verdicts and their page; returns the page."""
    folder = conformance_folder(settings, report.model, report.version)
    write_text_atomically(folder / REPORT, render(spec, report))
    write_text_atomically(folder / RESULT, report.model_dump_json(indent=2) + "\n")
    return folder / REPORT


def render(spec: ModelSpec, report: Conformance) -> str:
    """The page."""
    figures = {each.item: each.figures for each in report.verdicts if each.outcome is not Outcome.SKIPPED}
    count = {outcome: sum(each.outcome is outcome for each in report.verdicts) for outcome in Outcome}
    gain = figures.get("baseline", {})
    return (
        pages.environment(TEMPLATES)
        .get_template("conformance.html")
        .render(
            spec=spec,
            report=report,
            topic="conformance",
            headline="As it must be" if report.ok else f"{len(report.failed)} of {len(report.verdicts)} items failed",
            fine=report.ok,
            idle=False,
            count={"passed": count[Outcome.PASSED], "skipped": count[Outcome.SKIPPED]},
            metric=charts.label(spec.gate.metric),
            gain={**gain, "baseline": charts.label(gain["baseline"])} if "gain" in gain else None,
            latency=figures["latency"] if "p99_ms" in figures.get("latency", {}) else None,
            flat=flat,
            picture=_picture(figures),
        )
    )


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Figures by name, those within figures too."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}: ")
        else:
            yield f"{prefix}{name}", _said(value)


def _said(value: Any) -> str:
    if value is None:
        return UNDEFINED
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return "; ".join(map(str, value)) or "none"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _picture(figures: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The gains of the champion and of the models that learned nothing; None when they are not there."""
    runs = figures.get("shuffled labels", {}).get("runs", {})
    rows = {"champion": figures.get("baseline", {}), **{f"shuffled, {name}": run for name, run in runs.items()}}
    known = {name: row for name, row in rows.items() if row.get("low") is not None}
    return inline(lambda: _gains(known)) if known else None


def _gains(rows: Mapping[str, Mapping[str, Any]]) -> Figure:
    """A point with its interval per model, best on top, and the line that has to be cleared."""
    figure = new_figure(9.6, 0.7 + 0.42 * len(rows))
    axes = figure.subplots()
    for at, row in enumerate(reversed(list(rows.values()))):
        colour = charts.GOOD if row["low"] > 0 else charts.BAD if row["high"] < 0 else charts.UNCLEAR
        axes.plot([row["low"], row["high"]], [at, at], color=colour, linewidth=2.5, solid_capstyle="round")
        axes.plot(row["gain"], at, "o", color=colour)
    axes.axvline(0, color="#23252b", linewidth=0.8)
    axes.set_yticks(range(len(rows)), list(rows)[::-1])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="x", color="#e4e2dc")
    axes.set_axisbelow(True)
    return figure
