"""`python -m benchmarks.speed.readme`: the README's table of speed, from `benchmarks/results/latest.json`.

No figure gets into that table by hand.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.speed.result import LATEST, read
from ml_assets.files import write_text_atomically
from ml_assets.settings import PROJECT

README = PROJECT / "README.md"
HEADINGS = ("what", "scale", "ours", "peer", "floor", "ours/peer", "ours/floor", "peak MB")
BEGIN, END = "<!-- bench: begin -->\n", "<!-- bench: end -->\n"


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown; growth has a plot of its own."""
    lines = [f"| {' | '.join(HEADINGS)} |", "|---" * len(HEADINGS) + "|"]
    for row in rows:
        if row["name"].startswith("growth"):
            continue
        unit = row["unit"]
        timed = [f"{row[of]:,g} {unit}" if row[of] is not None else "" for of in ("ours", "peer", "floor")]
        ratios = [f"{row[of]:g}" if row[of] is not None else "" for of in ("ours_over_peer", "ours_over_floor")]
        peak = f"{row['peak_mb']:,.0f}" if row["peak_mb"] is not None else ""
        lines.append(f"| {' | '.join([row['name'], row['scale'], *timed, *ratios, peak])} |")
    return "\n".join(lines) + "\n"


def rendered(readme: str, rows: list[dict[str, Any]]) -> str:
    """The README with the table between its marks made anew."""
    before, rest = readme.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}{table(rows)}{END}{after}"


def main(readme: Path = README, results: Path = LATEST) -> None:
    """Write the table into the README."""
    write_text_atomically(readme, rendered(readme.read_text(), read(results)))


if __name__ == "__main__":
    main()
