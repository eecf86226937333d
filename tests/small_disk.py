"""A file system of its own that can be filled to the last block."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, size: str = "8m") -> Iterator[Path]:
    """Mount a tmpfs for the block; skips the test, saying so, where that is not permitted."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # a process may still be leaving it


def fill(disk: Path) -> Path:
    """Take every free block; the file to remove for room."""
    ballast = disk / "ballast"
    with ballast.open("ab", buffering=0) as opened:
        for size in (65536, 4096, 1):
            try:
                while True:
                    opened.write(b"\1" * size)
            except OSError:
                continue
    assert os.statvfs(disk).f_bavail == 0
    return ballast
