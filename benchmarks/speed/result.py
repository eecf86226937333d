"""What a benchmark found, the table it is shown in and the file it is kept in."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ml_assets.config.settings import PROJECT
from ml_assets.storage.files import write_text_atomically

RESULTS = PROJECT / "benchmarks" / "results"
LATEST = RESULTS / "latest.json"
"""What `make bench` writes; kept with the code, since the README's figures come from it."""
QUICK = RESULTS / "quick.json"

WIDTH = 180
"""Columns of the table where there is no terminal whose width it would have to fit."""

HEADINGS = ("benchmark", "scale", "unit", "ours", "peer", "floor", "ours/peer", "ours/floor", "peak MB")


@dataclass(frozen=True)
class Result:
    """One figure of ours beside a peer's and a floor's, measured in the same run; None: there is none.

    Attributes:
        name: what was measured, `<item>: <what>`; one name and scale stand for one row.
        scale: how much of it, e.g. "1 M rows x 12 features".
        ours: the project's figure, in `unit`.
        peer: the usual way's figure.
        floor: the figure of the least work that could do it.
        unit: "s", "ms" and "MB" are better when smaller, "rows/s" and "requests/s" when larger; "exponent": of growth.
        peak_mb: most memory ours held, MiB.
    """

    name: str
    scale: str
    ours: float
    peer: float | None = None
    floor: float | None = None
    unit: str = "s"
    peak_mb: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """The row as it is kept, with the two ratios."""
        return {
            **{key: _rounded(value) for key, value in asdict(self).items()},
            "ours_over_peer": _ratio(self.ours, self.peer),
            "ours_over_floor": _ratio(self.ours, self.floor),
        }


def keep(path: Path, results: Iterable[Result]) -> None:
    """Write the rows, one step, in place of those of the same name and scale; other rows stay.

    An interrupted run thus keeps what it had measured.
    """
    rows = {(row["name"], row["scale"]): row for row in read(path)}
    for result in results:
        rows[result.name, result.scale] = result.as_dict()
    write_text_atomically(path, json.dumps(list(rows.values()), indent=1) + "\n")


def read(path: Path) -> list[dict[str, Any]]:
    """The rows kept at `path`; none when there is no file."""
    rows: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
    return rows


def show(rows: list[dict[str, Any]], title: str) -> None:
    """Print the rows as a table."""
    table = Table(title=title)
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading in HEADINGS[:3] else "right")
    for row in rows:
        ratios = (row["ours_over_peer"], row["ours_over_floor"])
        figures = (row["ours"], row["peer"], row["floor"], *ratios, row["peak_mb"])
        table.add_row(
            row["name"], row["scale"], row["unit"], *("" if each is None else f"{each:,g}" for each in figures)
        )
    console = Console()
    Console(width=console.width if console.is_terminal else WIDTH).print(table)


def _ratio(ours: float, other: float | None) -> float | None:
    return _rounded(ours / other) if other else None


def _rounded(value: Any) -> Any:
    """Three significant digits: nothing measured here is more exact."""
    if not isinstance(value, float):
        return value
    rounded = float(f"{value:.3g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) >= 100 else rounded
