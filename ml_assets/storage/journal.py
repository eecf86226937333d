"""Append-only JSON lines: what was promoted or deployed, when, by which run, from which data.

A line counts once its newline is on the disk. A torn last line (the writer was killed) was never
acknowledged: readers skip it and the next writer trims it. Each line carries its own hash and the hash of the line
before it, so that a line changed or removed later is noticed, the last one too. A damaged line stays where it is and
stands in nobody's way: `readable` gives what still reads and names the line, `read` is for those who want all or
nothing, and the next line that is appended notes which lines were damaged by then.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ml_assets.storage.file_lock import file_lock

START = "0" * 16
OWN = frozenset({"n", "at", "previous", "damaged", "hash"})
"""What a line says about itself rather than about what happened."""
Told = Callable[[dict[str, Any]], object]
_HASH = rb', "hash": "([0-9a-f]{16})"}'


class BrokenJournalError(ValueError):
    """The journal was altered other than by appending."""


@dataclass(frozen=True)
class Problem:
    """What is wrong with a journal, and in which line (from 1; 0 is the file as a whole)."""

    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}{f', line {self.line}' if self.line else ''}: {self.text}"


def append(path: Path, entry: Mapping[str, Any], at: datetime | None = None) -> dict[str, Any]:
    """Append one entry durably and return it as written: with `n`, `at` (UTC), `previous` and `hash`.

    To a damaged journal it is appended all the same; `damaged` then has the numbers of the lines that no line before
    has noted as damaged.

    Args:
        path: the journal; made when absent.
        entry: JSON-serialisable fields.
        at: when it happened; default now.

    Raises:
        OSError: when the disk is full, or the journal cannot be read or written.
    """
    with file_lock(path.with_name(f".{path.name}.lock")):
        content = path.read_bytes() if path.exists() else b""
        lines, torn = _split(content)
        entries, problems = _judged(path, lines)
        written = {
            "n": max([len(lines), *(each["n"] + 1 for each, _ in entries)]),
            "at": (at or datetime.now(UTC)).isoformat(timespec="milliseconds"),
            **entry,
            "previous": _digest(lines[-1]) if lines else START,
        }
        noted = {line for each, unvouched in entries if not unvouched for line in each.get("damaged", ())}
        damaged = sorted({problem.line for problem in problems} - noted)
        if damaged:
            written["damaged"] = damaged
        line, written["hash"] = _sealed(written)
        if torn:
            with path.with_name(f"{path.name}.torn").open("ab") as kept:
                kept.write(torn + b"\n")
            trim_torn_line(path)
        ended = torn or not lines or content.endswith(b"\n")
        with path.open("ab") as journal:
            journal.write((b"" if ended else b"\n") + line + b"\n")
            journal.flush()
            os.fsync(journal.fileno())
    return written


def read(path: Path) -> list[dict[str, Any]]:
    """Every entry, oldest first; none when there is no journal yet. A torn last line is left out.

    Raises:
        BrokenJournalError: when a line was altered or removed; it names the line.
    """
    entries, problems = readable(path)
    if problems:
        raise BrokenJournalError(f"{problems[0]}. Restore it from a copy.")
    return entries


def readable(path: Path, told: Told | None = None) -> tuple[list[dict[str, Any]], list[Problem]]:
    """Every entry that still reads, oldest first, and what is wrong with the journal; never raises.

    An altered line that reads is among the entries (its `n` follows from the line before), and among the problems.

    Args:
        path: the journal.
        told: takes what readers need out of an entry, and raises when it is not there: asked about each line that
            nothing vouches for. One that lacks something is left out.
    """
    try:
        lines, _ = _split(path.read_bytes())
    except FileNotFoundError:
        return [], []
    except OSError as error:
        return [], [Problem(path, 0, f"it cannot be read: {error}")]
    judged, problems = _judged(path, lines)
    entries = []
    for entry, number in judged:
        try:
            if told and number:
                told(entry)
        except (LookupError, TypeError, ValueError, AttributeError):
            problems.append(Problem(path, number, "it lacks what such a line says, and is left out"))
        else:
            entries.append(entry)
    return entries, sorted(problems, key=lambda problem: problem.line)


def torn_end(path: Path) -> Problem | None:
    """A last line without its end: a writer was killed before it was acknowledged, or the end was cut off since."""
    try:
        lines, torn = _split(path.read_bytes())
    except OSError:
        return None
    text = f"it has no end: its writer was killed, or it was cut off; the next change keeps it in {path.name}.torn"
    return Problem(path, len(lines) + 1, text) if torn else None


def trim_torn_line(path: Path) -> int:
    """Cut off what follows the last newline of a file of lines and return how many bytes that were."""
    if not path.exists():
        return 0
    content = path.read_bytes()
    torn = len(content) - (content.rfind(b"\n") + 1)
    if torn:
        os.truncate(path, len(content) - torn)
    return torn


def _split(content: bytes) -> tuple[list[bytes], bytes]:
    """The lines, and the torn one after the last newline; one that goes on after its end had a newline once."""
    *lines, torn = content.split(b"\n")
    return ([*lines, torn], b"") if re.search(_HASH + b".", torn, re.DOTALL) else (lines, torn)


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()[:16]


def _sealed(entry: Mapping[str, Any]) -> tuple[bytes, str]:
    line = json.dumps(entry, sort_keys=False, allow_nan=False).encode()
    own = _digest(line)
    return line[:-1] + f', "hash": "{own}"}}'.encode(), own


def _judged(path: Path, lines: Sequence[bytes]) -> tuple[list[tuple[dict[str, Any], int]], list[Problem]]:
    """The entries, each with its line's number if nothing vouches for it (else 0), and what is wrong."""
    said = [_said(line) for line in lines]
    wrong: dict[int, str] = {}
    vouched: set[int] = set()
    signed = False  # lines from before they had a hash of their own end with `previous`
    for number, (line, entries) in enumerate(zip(lines, said, strict=True), start=1):
        own = re.search(_HASH + rb"\Z", line)
        right = own is not None and _digest(line[: own.start()] + b"}").encode() == own[1]
        if not entries:
            wrong[number] = "it does not read, and is left out"
        elif len(entries) > 1 or (not right and (own or signed or [*entries[0]][-1:] != ["previous"])):
            wrong[number] = "it was altered"
        elif right:
            vouched.add(number)
        signed = signed or right
    for number, entries in enumerate(said, start=1):
        if number in wrong:
            continue  # what it says of the line before proves nothing
        if entries[0].get("previous") == (_digest(lines[number - 2]) if number > 1 else START):
            vouched.update({number - 1} - wrong.keys())
        elif number == 1 or number - 1 in vouched:
            wrong[number] = "a line before it was removed"
        elif number - 1 not in wrong:
            wrong[number - 1] = "it was altered, or a line after it was removed"
    found, n = list[tuple[dict[str, Any], int]](), -1
    for number, entries in enumerate(said, start=1):
        for entry in entries:
            n = entry["n"] if number in vouched and isinstance(entry.get("n"), int) else n + 1
            found.append(({**entry, "n": n}, 0 if number in vouched else number))
    return found, [Problem(path, number, text) for number, text in sorted(wrong.items())]


def _said(line: bytes) -> list[dict[str, Any]]:
    """What a line says: an entry; none when it does not read, more when a newline between two was altered."""
    text, at, found = line.decode(errors="replace"), 0, list[dict[str, Any]]()
    decoder = json.JSONDecoder(strict=False)
    while at < len(text):
        try:
            said, at = decoder.raw_decode(text, at)
        except ValueError:
            break
        found += [said] if isinstance(said, dict) else []
        at += 1  # what was a newline
    return found
