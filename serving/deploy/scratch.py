"""A server's scratch folder: in memory where that is possible, for this user only, gone when the server is stopped.

The workers count their metrics in files that are mapped into memory: on a full disk a worker that starts would end
with SIGBUS, again and again. So these files are not on the disk of the data.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - the folder made in it is new, its name is random, and nobody else may enter
PREFIX = "ml-assets-server-"
ROOM = 32 * 1024 * 1024
"""Bytes that must be free: a worker's metrics take about one MiB."""


def make_scratch() -> Path:
    """Make a folder, mode 0700, in memory, or where temporary files are if there is no room."""
    return Path(tempfile.mkdtemp(prefix=PREFIX, dir=MEMORY if _usable(MEMORY) else None))


def remove_scratch(folder: Path) -> None:
    """Remove what `make_scratch` made; anything else is left alone."""
    if folder.name.startswith(PREFIX) and folder.parent in {MEMORY, Path(tempfile.gettempdir())}:
        shutil.rmtree(folder, ignore_errors=True)


def _usable(folder: Path) -> bool:
    try:
        space = os.statvfs(folder)
    except OSError:
        return False
    return space.f_bavail * space.f_frsize >= ROOM and os.access(folder, os.W_OK | os.X_OK)
