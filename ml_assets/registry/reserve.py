"""Room that a rollback frees first, so that going back works on a full disk: one really allocated file per model."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ml_assets.config.settings import Settings

logger = logging.getLogger("ml_assets.registry")

NAME = ".reserve"
BYTES = 256 * 1024
"""A rollback writes a pointer, a few lines and a debt, some KiB each."""
LEAST = 32 * 1024


def reserve_path(settings: Settings, name: str) -> Path:
    """Where the model's reserve lies, beside its pointer."""
    return settings.model_home(name) / "serving" / NAME


def keep(path: Path) -> int:
    """Make the reserve, or what there is room for, unless it is there; return how many bytes it holds."""
    try:
        if path.exists() and path.stat().st_blocks * 512 >= BYTES:
            return BYTES
    except OSError:
        return 0
    size = BYTES
    while size >= LEAST:
        try:
            _allocate(path, size)
        except OSError as error:
            problem = error
            size -= LEAST
        else:
            return size
    logger.warning("%s: no room for what a rollback needs on a full disk (%s); free some space", path, problem)
    return 0


@contextmanager
def freed(path: Path) -> Iterator[None]:
    """Free the reserve for the block, and make it again after."""
    with suppress(OSError):
        path.unlink(missing_ok=True)
    try:
        yield
    finally:
        keep(path)


def _allocate(path: Path, size: int) -> None:
    """Hold `size` bytes on the disk; when there is no room, hold nothing."""
    try:
        with path.open("wb") as reserve:
            os.posix_fallocate(reserve.fileno(), 0, size)
    except OSError:
        path.unlink(missing_ok=True)
        raise
