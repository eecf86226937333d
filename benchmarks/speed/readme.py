"""`python -m benchmarks.speed.readme`: the tables of speed in README and docs, from `benchmarks/results/latest.json`.

No figure gets into those tables by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.speed.result import LATEST, read
from ml_assets.config.settings import PROJECT
from ml_assets.storage.files import write_text_atomically

HEADINGS = ("what", "scale", "ours", "peer", "floor", "ours/peer", "ours/floor", "peak MB")
BEGIN, END = "<!-- bench: begin -->\n", "<!-- bench: end -->\n"
MAIN = (
    "offline: point-in-time join",
    "online: materialize",
    "online: one customer's features p99",
    "serving: throughput",
    "serving: /recommend p99",
    "batch: scoring",
    "tuning: to the score of a plain loop",
    "tuning: to the score of a plain loop, that one until its best trial",
    "orchestration: an empty step",
    "orchestration: whole graph",
    "orchestration: a day more",
)
"""What the README tells; the page on speed tells all."""
PAGES: Mapping[Path, tuple[str, ...] | None] = {PROJECT / "README.md": MAIN, PROJECT / "docs" / "speed.md": None}


def table(rows: list[dict[str, Any]], names: tuple[str, ...] | None = None) -> str:
    """The rows (of those names) as Markdown."""
    lines = [f"| {' | '.join(HEADINGS)} |", "|---" * len(HEADINGS) + "|"]
    for row in _together(rows):
        if names is not None and row["name"] not in names:
            continue
        unit = "" if row["unit"] == "exponent" else row["unit"]
        timed = [_figure(row[of], unit) for of in ("ours", "peer", "floor")]
        ratios = [f"{row[of]:g}" if row[of] is not None else "" for of in ("ours_over_peer", "ours_over_floor")]
        peak = f"{row['peak_mb']:,.0f}" if row["peak_mb"] is not None else ""
        lines.append(f"| {' | '.join([row['name'], row['scale'], *timed, *ratios, peak])} |")
    return "\n".join(lines) + "\n"


def _together(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of an item, and of a name, one after the other, whenever each was measured."""
    names = [row["name"] for row in rows]
    items = [name.partition(":")[0] for name in names]
    return sorted(rows, key=lambda row: (items.index(row["name"].partition(":")[0]), names.index(row["name"])))


def _figure(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:,.0f} {unit}" if value >= 1000 else f"{value:g} {unit}".strip()


def rendered(page: str, rows: list[dict[str, Any]], names: tuple[str, ...] | None = None) -> str:
    """The page with the table between its marks made anew."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}{table(rows, names)}{END}{after}"


def main(pages: Mapping[Path, tuple[str, ...] | None] = PAGES, results: Path = LATEST) -> None:
    """Write the tables into their pages."""
    for page, names in pages.items():
        write_text_atomically(page, rendered(page.read_text(), read(results), names))


if __name__ == "__main__":
    main()
