"""How much of the disk is left: logging ends before it takes the last bytes from everything else on it."""

from __future__ import annotations

import os
import time
from pathlib import Path

LIMIT_BYTES = 256 * 1024 * 1024
LIMIT_SHARE = 0.05
"""Nothing is logged while less is free than this share of the disk; on larger disks than 5 GiB, `LIMIT_BYTES`."""
PAUSE = 1.0
"""Seconds between two looks."""


def limit_of(disk_bytes: int) -> float:
    """How many bytes must be free on a disk of this size."""
    return min(LIMIT_BYTES, LIMIT_SHARE * disk_bytes)


class FreeSpace:
    """Whether the disk of a folder has room, looked at once a second at most. Not thread-safe."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._problem: str | None = None
        self._next = 0.0

    def problem(self) -> str | None:
        """Why nothing is to be written, or None; a disk that does not say how much is left counts as one that has."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + PAUSE
            self._problem = self._look()
        return self._problem

    def _look(self) -> str | None:
        try:
            there = next(folder for folder in (self._folder, *self._folder.parents) if folder.exists())
            disk = os.statvfs(there)
        except OSError:
            return None
        limit = limit_of(disk.f_blocks * disk.f_frsize)
        if disk.f_bavail * disk.f_frsize >= limit:
            return None
        return f"the disk of {self._folder} has less than {limit / 2**20:.0f} MiB free: nothing is logged until it has"
