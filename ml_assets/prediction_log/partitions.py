"""Where the collected log lies: one folder per byte range of a segment, in it one file per kind and hour.

`<model_home>/log/<segment>/<from>-<to>/<kind>-YYYY-MM-DDTHH.parquet`. A folder appears by one rename, so it is
both the rows and the proof that these bytes were read: what is published is never read again, and what was
removed is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

import pyarrow.parquet as pq

from ml_assets.config.settings import Settings

PRUNED = ".pruned"
"""Names of segments whose parts were removed on purpose, one a line."""
Range = tuple[int, int]
"""Bytes of a segment: from (inclusive), to (exclusive)."""

_RANGE = re.compile(r"(\d+)-(\d+)")
_FILE = re.compile(r"(\w+)-(\d{4}-\d\d-\d\dT\d\d)\.parquet")


class Kind(StrEnum):
    """What a file of a part holds."""

    PREDICTIONS = "predictions"
    """One row per answer; its hour is that of `time`."""
    SHOWN = "shown"
    """One row per product of an answer."""
    OUTCOMES = "outcomes"
    REFUSALS = "refusals"
    BAD = "bad"
    """Lines that could not be read, with the reason; their hour is that of the collection."""


@dataclass(frozen=True, slots=True)
class PartFile:
    """One file of a part: rows of one kind and one hour (`YYYY-MM-DDTHH`, UTC) from one range of a segment."""

    path: Path
    kind: Kind
    hour: str
    segment: str


def parts_home(settings: Settings, model: str) -> Path:
    """Folder of the collected parts."""
    return settings.model_home(model) / "log"


def hour_of(time: datetime) -> str:
    """The hour a moment belongs to, `YYYY-MM-DDTHH`; a moment without a zone is UTC."""
    return (time.astimezone(UTC) if time.tzinfo else time).isoformat()[:13]


def range_folder(folder: Path, read: Range) -> Path:
    """Folder of one range of the segment whose parts are in `folder`."""
    return folder / f"{read[0]}-{read[1]}"


def range_of(folder: Path) -> Range:
    """The range that a folder of `range_folder` is of."""
    start, _, stop = folder.name.partition("-")
    return int(start), int(stop)


def ranges(folder: Path) -> list[Range]:
    """The ranges that were collected of the segment whose parts are in `folder`, ascending."""
    try:
        found = [_RANGE.fullmatch(entry.name) for entry in os.scandir(folder)]
    except FileNotFoundError:
        return []
    return sorted((int(match[1]), int(match[2])) for match in found if match)


def unread(collected: list[Range], size: int) -> list[Range]:
    """What of `size` bytes is in none of the collected ranges: gaps, and what is new."""
    missing, end = [], 0
    for start, stop in collected:
        if start > end:
            missing.append((end, start))
        end = max(end, stop)
    return [*missing, (end, size)] if size > end else missing


def walk_parts(home: Path) -> list[PartFile]:
    """Every file of every part, by hour and path; parts that are being written are left out."""
    found = []
    for segment in _visible(home):
        for read in ranges(home / segment):
            folder = range_folder(home / segment, read)
            for name in _visible(folder):
                if match := _FILE.fullmatch(name):
                    found.append(PartFile(folder / name, Kind(match[1]), match[2], segment))
    return sorted(found, key=lambda each: (each.hour, each.path))


def select(
    files: Iterable[PartFile], kind: Kind, start: datetime | None = None, end: datetime | None = None
) -> list[Path]:
    """Those of one kind whose hour has begun by `end` and not ended by `start` (None: open)."""
    first = "" if start is None else hour_of(start)
    last = None if end is None else hour_of(end - timedelta(microseconds=1))
    return [
        each.path for each in files if each.kind is kind and first <= each.hour and (last is None or each.hour <= last)
    ]


def part_files(
    settings: Settings, model: str, kind: Kind, start: datetime | None = None, end: datetime | None = None
) -> list[Path]:
    """Files of one kind for the hours from `start` to before `end` (None: open), by hour and path.

    Rows carry the name of their `segment` and in `line` the byte their line starts at, which together identify
    it. Different files may have different columns: read them by name.
    """
    return select(walk_parts(parts_home(settings, model)), kind, start, end)


def hour_counts(settings: Settings, model: str, start: datetime, end: datetime) -> dict[str, int]:
    """Rows of each kind collected so far for the hours from `start` to before `end`; bad lines by collection."""
    files = walk_parts(parts_home(settings, model))
    return {kind.value: sum(rows_in(path) for path in select(files, kind, start, end)) for kind in Kind}


def note_pruned(home: Path, segments: Iterable[str]) -> None:
    """Note, before they go, that the parts of these segments are removed on purpose."""
    with (home / PRUNED).open("a") as opened:
        opened.writelines(f"{name}\n" for name in segments)
        opened.flush()
        os.fsync(opened.fileno())


def pruned_inputs(home: Path, inputs: Iterable[str]) -> list[str]:
    """Those of a day's `inputs` (paths relative to `home`) that are gone on purpose."""
    noted = home / PRUNED
    segments = set(noted.read_text().splitlines()) if noted.exists() else set()
    return [name for name in inputs if name.partition("/")[0] in segments and not (home / name).exists()]


def rows_in(path: Path) -> int:
    """Rows of a Parquet file, as its footer says."""
    return int(pq.read_metadata(path).num_rows)


def _visible(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(folder) if not entry.name.startswith(".")]
    except FileNotFoundError:
        return []
