"""Growth: time and memory of every stage of the graph at rising numbers of events, and the exponent of each.

The stages are those of the bare script, each in a process of its own: a second more for a fork or an event log would
make every exponent look small. `docs/growth.svg` shows them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.speed.result import Result
from benchmarks.speed.stages import QUICK_UNTIL, Bare, Stage, bare, size
from ml_assets.config.settings import PROJECT
from ml_assets.storage.files import replace_file

FULL, QUICK = (0.1, 1.0, 10.0), (0.01, 0.03)
PLOT = PROJECT / "docs" / "growth.svg"


def measure(quick: bool, work: Path) -> Iterator[Result]:
    """Run the bare script at every scale; one row per stage, and the plot (quick: up to the training set)."""
    scales = QUICK if quick else FULL
    runs = {at: bare(work, at, QUICK_UNTIL) if quick else bare(work, at) for at in scales}
    stages = {name: {at: run.stages[name] for at, run in runs.items()} for name in runs[scales[0]].stages}
    draw(stages, work / PLOT.name if quick else PLOT)
    for name, grown in {**stages, "all": _whole(runs)}.items():
        largest = grown[scales[-1]]
        yield Result(
            f"growth: {name}", f"{scales[0]:g} - {size(scales[-1])}", exponent(grown), unit="exponent",
            peak_mb=largest.peak_mb,
        )  # fmt: skip


def exponent(grown: dict[float, Stage]) -> float:
    """Slope of log seconds over log events, by least squares: 0 does not grow, 1 grows with the events, 2 squared."""
    slope, _ = np.polyfit(np.log(list(grown)), np.log([each.seconds for each in grown.values()]), 1)
    return float(slope)


def _whole(runs: dict[float, Bare]) -> dict[float, Stage]:
    return {at: Stage(run.whole, max(each.peak_mb for each in run.stages.values())) for at, run in runs.items()}


def draw(stages: dict[str, dict[float, Stage]], path: Path) -> None:
    """Two log-log panels, seconds and MiB over millions of events, one line per stage, the slowest first."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "growth"  # the same figures give the same file
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, 2, figsize=(13, 5.5), layout="constrained")
    colors = pyplot.colormaps["tab20"].colors
    slowest = sorted(stages, key=lambda name: -list(stages[name].values())[-1].seconds)
    for name, color in zip(slowest, colors, strict=False):
        grown = stages[name]
        label, at = f"{name}  ({exponent(grown):+.2f})", list(grown)
        panels[0].plot(at, [each.seconds for each in grown.values()], "o-", color=color, label=label)
        panels[1].plot(at, [each.peak_mb for each in grown.values()], "o-", color=color)
    for panel, unit in zip(panels, ("seconds", "peak memory, MiB"), strict=True):
        panel.set(xscale="log", yscale="log", xlabel="million events", ylabel=unit)
        panel.grid(visible=True, which="both", alpha=0.25)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right", title="stage (exponent)", fontsize=9)
    with replace_file(path) as aside:
        figure.savefig(aside, format="svg", metadata={"Date": None})
    pyplot.close(figure)
