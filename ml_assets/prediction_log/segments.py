"""The service's segments: which there are, and whether one can still grow."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from ml_assets.storage.log_layout import Rotation

QUIET_SECONDS = 10.0
"""A segment changed less long ago may be in the middle of a write, whatever else is known of its writer."""
ERASED = b"\x1a"
"""Begins a line that was overwritten (by ASCII's "substitute") as it was about somebody who was erased: it is none."""
MARGIN_SECONDS = 60.0
"""A writer may close a segment this much later than its age asks for."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One file of the log as it was when listed.

    Attributes:
        path: the file.
        size: its bytes.
        changed: when it last changed, in seconds since 1970.
        ended: nobody will write to it any more.
    """

    path: Path
    size: int
    changed: float
    ended: bool

    @property
    def name(self) -> str:
        """What its parts are called after."""
        return self.path.stem


def list_segments(folder: Path) -> list[Segment]:
    """The segments in a log folder, oldest first.

    One has ended when its process has begun a newer one or is gone, or when it is older than any may get. In
    each case it must also have been quiet for a moment: processes of other machines can have the same number,
    or one that is unknown here.
    """
    paths = sorted(folder.glob("*.jsonl"))
    newest = {_pid(path): path for path in paths}
    return [_look(path, closed=newest[_pid(path)] != path or _gone(_pid(path))) for path in paths]


def _look(path: Path, *, closed: bool) -> Segment:
    """What is known of a file; `closed` was found out before, so that the size is that of the closed file."""
    now, status = time.time(), path.stat()
    quiet = now - status.st_mtime
    old = quiet > Rotation().max_seconds + MARGIN_SECONDS
    return Segment(path, status.st_size, status.st_mtime, ended=old or (closed and quiet > QUIET_SECONDS))


def _pid(path: Path) -> str:
    return path.stem.rpartition("-")[2]


def _gone(pid: str) -> bool:
    return pid.isdigit() and not psutil.pid_exists(int(pid))


def read_lines(path: Path, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
    """Lines from byte `start` to before `stop`, each with the place of its first byte; the last may be torn."""
    with path.open("rb") as opened:
        opened.seek(start)
        while start < stop and (line := opened.readline(stop - start)):
            yield start, line
            start += len(line)
