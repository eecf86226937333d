"""Publishing files: written aside, then swapped in by one atomic rename, so that a killed run leaves the old whole.

What is written is on the disk before the rename, and the rename before whatever follows: power may be lost, too.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

SYNCED_TOGETHER = 16
LEFT_SECONDS = 6 * 3600.0
"""What is set aside and was not written to for so long is a killed writer's."""


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling of `path` that takes its place when the block ends well, and is removed otherwise."""
    aside = _aside(path)
    try:
        yield aside
        sync(aside)
        aside.replace(path)
        sync(path.parent)
    finally:
        aside.unlink(missing_ok=True)


def write_text_atomically(path: Path, text: str) -> None:
    """Replace the file at `path` by `text` in one step."""
    with replace_file(path) as aside:
        aside.write_text(text)


def overwrite_text(path: Path, text: str) -> None:
    """Replace the text of a file within the room that it has on the disk: where there is no room for another one.

    Not in one step: who reads it meanwhile may see a part of it, and whoever is killed leaves a part.

    Raises:
        OSError: when the file is not there, or the text does not fit.
    """
    with path.open("r+b") as opened:
        has = os.fstat(opened.fileno())
        content = text.encode().ljust(has.st_size)
        if len(content) > max(has.st_size, has.st_blocks * 512):
            raise OSError(errno.ENOSPC, f"{len(content)} bytes do not fit into the room of", str(path))
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())


@contextmanager
def publish_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling folder that is renamed to `path` when the block ends well, and removed otherwise.

    A folder is published once: content-addressed names make the second publisher of the same content a no-op.
    """
    aside = _aside(path)
    aside.mkdir()
    try:
        yield aside
        if path.exists():
            return
        sync_tree(aside)
        aside.rename(path)
        sync(path.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _aside(path: Path) -> Path:
    """A name of its own beside `path`, in a folder without what killed writers have left there long ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent)
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")


@lru_cache(maxsize=1024)
def sweep(folder: Path) -> None:
    """Remove what killed writers have left in a folder; once in a process."""
    for left in folder.glob(".*.tmp"):
        with suppress(OSError):  # another one removes it too
            touched = max(each.lstat().st_mtime for each in (left, *left.rglob("*")))
            if time.time() - touched > LEFT_SECONDS and re.fullmatch(r"\..+\.[0-9a-f]{32}\.tmp", left.name):
                shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()


def sync(path: Path) -> None:
    """Have a file's bytes, or a folder's names, on the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def sync_all(paths: Iterable[Path]) -> None:
    """Have many files or folders on the disk; side by side, as a disk commits what waits for it together."""
    with ThreadPoolExecutor(SYNCED_TOGETHER) as threads:
        list(threads.map(sync, paths))


def sync_tree(folder: Path) -> None:
    """Have everything below a folder on the disk: every file, then the names in every folder."""
    for path, _, names in os.walk(folder, topdown=False):
        for name in names:
            if not Path(path, name).is_symlink():
                sync(Path(path, name))
        sync(Path(path))


def exact_name(path: Path | str) -> str:
    """A path as DuckDB's readers take it: that file alone, as they read a name with `*`, `?` or `[` as a pattern.

    Raises:
        ValueError: when it has such a sign and a backslash, which their patterns cannot say.
    """
    text = str(path)
    if not any(sign in text for sign in "*?["):
        return text
    if "\\" in text:
        raise ValueError(f"{text}: a name with a backslash and one of * ? [ cannot be read: rename it")
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in text)


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
