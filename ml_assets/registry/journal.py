"""Append-only JSON lines: what was promoted or deployed, when, by which run, from which data.

A line counts once its newline is on the disk. A torn last line (the writer was killed) was never
acknowledged: readers skip it and the next writer trims it. Each line carries the hash of the line before it,
so that a line changed or removed later is noticed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ml_assets.registry.lock import file_lock

START = "0" * 16


class BrokenJournalError(ValueError):
    """The journal was altered other than by appending."""


def append(path: Path, entry: Mapping[str, Any], at: datetime | None = None) -> dict[str, Any]:
    """Append one entry durably and return it as written: with `n`, `at` (UTC) and `previous`.

    Args:
        path: the journal; made when absent.
        entry: JSON-serialisable fields.
        at: when it happened; default now.

    Raises:
        BrokenJournalError: when an older line was altered.
    """
    with file_lock(path.with_name(f".{path.name}.lock")):
        trim_torn_line(path)
        lines = _lines(path)
        written = {
            "n": len(_checked(path, lines)),
            "at": (at or datetime.now(UTC)).isoformat(timespec="milliseconds"),
            **entry,
            "previous": _digest(lines[-1]) if lines else START,
        }
        with path.open("ab") as journal:
            journal.write(json.dumps(written, sort_keys=False, allow_nan=False).encode() + b"\n")
            journal.flush()
            os.fsync(journal.fileno())
    return written


def read(path: Path) -> list[dict[str, Any]]:
    """Every entry, oldest first; none when there is no journal yet. A torn last line is left out.

    Raises:
        BrokenJournalError: when a line was altered or removed; it names the line.
    """
    return _checked(path, _lines(path))


def trim_torn_line(path: Path) -> int:
    """Cut off what follows the last newline of a file of lines and return how many bytes that were."""
    if not path.exists():
        return 0
    content = path.read_bytes()
    torn = len(content) - (content.rfind(b"\n") + 1)
    if torn:
        os.truncate(path, len(content) - torn)
    return torn


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().split(b"\n")[:-1] if path.exists() else []


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()[:16]


def _checked(path: Path, lines: list[bytes]) -> list[dict[str, Any]]:
    entries, previous = [], START
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise BrokenJournalError(f"{path}, line {number}: not JSON ({error}). Restore it from a copy.") from error
        if entry.get("previous") != previous:
            raise BrokenJournalError(
                f"{path}, line {number}: the line before it was altered or removed. Restore it from a copy."
            )
        entries.append(entry)
        previous = _digest(line)
    return entries
