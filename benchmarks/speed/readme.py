"""`python -m benchmarks.speed.readme`: the tables of speed in README and docs, from `benchmarks/results/latest.json`.

No figure gets into those tables by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.speed.result import LATEST, read
from ml_assets.files import write_text_atomically
from ml_assets.settings import PROJECT

HEADINGS = ("what", "scale", "ours", "peer", "floor", "ours/peer", "ours/floor", "peak MB")
BEGIN, END = "<!-- bench: begin -->\n", "<!-- bench: end -->\n"
MAIN = (
    "offline: point-in-time join",
    "offline: point-in-time join, memory",
    "online: materialize",
    "online: one customer's features p99",
    "online: 100 products' features p99",
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
    for row in rows:
        if names is not None and row["name"] not in names:
            continue
        unit = "" if row["unit"] == "exponent" else row["unit"]
        timed = [f"{row[of]:,g} {unit}".strip() if row[of] is not None else "" for of in ("ours", "peer", "floor")]
        ratios = [f"{row[of]:g}" if row[of] is not None else "" for of in ("ours_over_peer", "ours_over_floor")]
        peak = f"{row['peak_mb']:,.0f}" if row["peak_mb"] is not None else ""
        lines.append(f"| {' | '.join([row['name'], row['scale'], *timed, *ratios, peak])} |")
    return "\n".join(lines) + "\n"


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
