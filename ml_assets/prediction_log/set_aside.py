"""Bad lines that somebody has decided to go on without: they stay where they are, and the decision is noted.

`<model_home>/log_set_aside.jsonl`: a line for each decision, with every bad line it is about and why that one was bad.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from ml_assets.config.settings import Settings
from ml_assets.prediction_log.partitions import Kind, part_files
from ml_assets.storage import journal


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that makes no sense: its segment, the byte it starts at, and why."""

    segment: str
    line: int
    reason: str

    @property
    def text(self) -> str:
        """Where it is, and why."""
        return f"{self.segment}.jsonl, byte {self.line:,}: {self.reason}"


def set_aside_path(settings: Settings, model: str) -> Path:
    """Where the decisions are noted."""
    return settings.model_home(model) / "log_set_aside.jsonl"


def set_aside(settings: Settings, model: str) -> list[BadLine]:
    """Note that the daily tables go on without the bad lines there are by now; those that were not noted before."""
    before = noted(settings, model)
    fresh = [each for each in _bad(settings, model) if (each.segment, each.line) not in before]
    if fresh:
        lines = [[each.segment, each.line, each.reason] for each in fresh]
        journal.append(set_aside_path(settings, model), {"event": "set_aside", "lines": lines})
    return fresh


def noted(settings: Settings, model: str) -> set[tuple[str, int]]:
    """Segment and first byte of every line that was set aside."""
    decisions = journal.readable(set_aside_path(settings, model), lambda said: [line[:2] for line in said["lines"]])[0]
    return {(segment, at) for said in decisions for segment, at, _ in said["lines"]}


def _bad(settings: Settings, model: str) -> Iterator[BadLine]:
    for path in part_files(settings, model, Kind.BAD):
        rows = pq.read_table(path, columns=["segment", "line", "reason"])
        yield from (BadLine(**row) for row in rows.to_pylist())
