"""Publishing a range of days at once: all is written aside, then swapped in file by file, or not at all."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path


def part(lake: Path, table: str, day: date) -> Path:
    """The file of one day of one table of the lake."""
    return lake / table / f"event_day={day.isoformat()}" / "part.parquet"


@dataclass
class Stage:
    """A folder beside the published tables, with the same layout, that one run writes to.

    Attributes:
        lake: folder of the published tables.
        folder: folder of this run; gone when the run ends.
        written: files set aside so far, as (file aside, its place in the lake).
    """

    lake: Path
    folder: Path
    written: list[tuple[Path, Path]] = field(default_factory=list)

    def aside(self, table: str, day: date) -> Path:
        """Where to write a part so that `publish` puts it in its place."""
        path = part(self.folder, table, day)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.written.append((path, part(self.lake, table, day)))
        return path

    @contextmanager
    def publish(self) -> Iterator[None]:
        """Swap every file into its place, then run the block; if either fails, put the old files back."""
        for aside, _ in self.written:
            with aside.open("rb") as opened:
                os.fsync(opened.fileno())
        swapped: list[tuple[Path, Path | None]] = []
        try:
            for aside, target in self.written:
                swapped.append((target, _keep_old(aside, target)))
                aside.replace(target)
            yield
        except BaseException:
            for target, old in reversed(swapped):
                if old is None:
                    target.unlink(missing_ok=True)
                else:
                    old.replace(target)
            raise


def _keep_old(aside: Path, target: Path) -> Path | None:
    """A second name for the published file, so that it survives being replaced."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        return None
    old = aside.with_suffix(".old")
    os.link(target, old)
    return old


@contextmanager
def stage(lake: Path, table: str) -> Iterator[Stage]:
    """Open the stage of a table; a second run of the table waits, and what a killed run left is removed."""
    folder = lake / ".staging" / table
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{table}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            yield Stage(lake, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
