"""Publishing files: written aside, then swapped in by one atomic rename, so that a killed run leaves the old whole."""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling of `path` that takes its place when the block ends well, and is removed otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield aside
        with aside.open("rb") as written:
            os.fsync(written.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def write_text_atomically(path: Path, text: str) -> None:
    """Replace the file at `path` by `text` in one step."""
    with replace_file(path) as aside:
        aside.write_text(text)


@contextmanager
def publish_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling folder that is renamed to `path` when the block ends well, and removed otherwise.

    A folder is published once: content-addressed names make the second publisher of the same content a no-op.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    aside.mkdir()
    try:
        yield aside
        if path.exists():
            return
        aside.rename(path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
