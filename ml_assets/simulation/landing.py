"""The outside world's drop folder: one events file and one products file per day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ml_assets.simulation.shop import Shop
from ml_assets.simulation.spec import SimulationSpec
from ml_assets.storage.files import replace_file

Progress = Callable[[date, int, int], None]
"""Called after each day with (day, days done, days in all)."""


def day_paths(landing: Path, day: date) -> tuple[Path, Path]:
    """Paths of the events and the products file of a day."""
    return landing / "events" / f"{day}.parquet", landing / "products" / f"{day}.parquet"


def write_days(
    spec: SimulationSpec, landing: Path, start: date, end: date, progress: Progress | None = None
) -> list[Path]:
    """Write the files of the days from `start` to `end` (inclusive) that do not exist yet.

    Files that exist are left alone, each new one appears whole. Days before `start` are lived through, but
    not written.

    Returns:
        The files written, in order of day; empty when all were there.

    Raises:
        ValueError: when `end` lies before `start`, or `start` before the shop's first day.
    """
    if end < start:
        raise ValueError(f"end {end} lies before start {start}; give the days in order")
    spec.number_of(start)
    days = [start + timedelta(days=n) for n in range((end - start).days + 1)]
    shop: Shop | None = None
    written: list[Path] = []
    for done, day in enumerate(days, 1):
        missing = [path for path in day_paths(landing, day) if not path.exists()]
        if missing:
            shop = shop or Shop(spec)
            files = shop.day(day)
            for path in missing:
                _write(files.events if path.parent.name == "events" else files.products, path)
            written.extend(missing)
        if progress:
            progress(day, done, len(days))
    return written


def _write(table: pa.Table, path: Path) -> None:
    with replace_file(path) as aside:
        pq.write_table(table, aside, compression="zstd", compression_level=1)
