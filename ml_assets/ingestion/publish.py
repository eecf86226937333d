"""Publishing a range of days at once: all is written aside, then swapped in file by file, or not at all."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from ml_assets.ingestion.swap import Swap, forget, settle, turn_back, unsettled


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

    def begin_anew(self) -> None:
        """Forget what was set aside so far."""
        for path, _ in self.written:
            path.unlink(missing_ok=True)
        self.written.clear()

    def publish(self, ledger: Path, lines: str) -> None:
        """Swap every file into its place and add the lines to the ledger; if either fails, all is as it was.

        A run that is killed meanwhile leaves a note, by which `finish_swaps` and the next `stage` finish it.
        """
        swap = Swap.prepare(self.lake, self.written, ledger, lines)
        swap.note(self.folder)
        try:
            swap.finish(self.lake)
        except BaseException:
            turn_back(self.lake, self.folder)
            raise
        forget(self.folder)


@contextmanager
def stage(lake: Path, table: str) -> Iterator[Stage]:
    """Open the stage of a table; a second run of the table waits, and what a killed run left is settled."""
    folder = _folder(lake, table)
    with _alone(folder):
        settle(lake, folder)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            yield Stage(lake, folder)
        finally:
            if not unsettled(folder):
                shutil.rmtree(folder, ignore_errors=True)


def finish_swaps(lake: Path, *tables: str) -> None:
    """Finish what a killed run has left half swapped, before somebody reads these tables (none named: all)."""
    staging = lake / ".staging"
    named = tables or sorted(path.name for path in staging.glob("*") if path.is_dir())
    for folder in (_folder(lake, table) for table in named):
        if unsettled(folder):
            with _alone(folder):
                settle(lake, folder)


def _folder(lake: Path, table: str) -> Path:
    return lake / ".staging" / table


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Be the only run that writes the table."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
