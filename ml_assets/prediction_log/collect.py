"""The service's log into parts, exactly once: each range of bytes is published by one rename, or read again."""

from __future__ import annotations

import os
import shutil
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ml_assets.config.settings import Settings
from ml_assets.prediction_log.partitions import (
    Kind,
    Range,
    parts_home,
    range_folder,
    range_of,
    ranges,
    unread,
    walk_parts,
)
from ml_assets.prediction_log.records import Answer, FeatureNames, Line, LineError, Outcome, feature_names, parse
from ml_assets.prediction_log.segments import ERASED, Segment, list_segments, read_lines
from ml_assets.prediction_log.tables import Bad, build
from ml_assets.storage.file_lock import file_lock
from ml_assets.storage.files import publish_folder
from ml_assets.storage.log_layout import log_folder

BATCH_BYTES = 16 * 1024 * 1024
"""Bytes of a segment that become one part, so that memory stays bounded."""

TORN = "the line has no end: its writer was killed"


@dataclass(frozen=True)
class Collected:
    """What one collection added: lines of each kind, the ranges they came from, and why some were left for later."""

    predictions: int = 0
    outcomes: int = 0
    refusals: int = 0
    bad: int = 0
    new_parts: int = 0
    left: tuple[str, ...] = ()

    def __add__(self, other: Collected) -> Collected:
        return Collected(
            self.predictions + other.predictions,
            self.outcomes + other.outcomes,
            self.refusals + other.refusals,
            self.bad + other.bad,
            self.new_parts + other.new_parts,
            self.left + other.left,
        )

    @property
    def text(self) -> str:
        """What a log says of it."""
        left = "".join(f"; left for later: {why}" for why in self.left)
        if not self.new_parts:
            return f"nothing new in the prediction log{left}"
        return (
            f"collected {self.predictions:,} answers, {self.outcomes:,} outcomes, {self.refusals:,} refusals and "
            f"{self.bad:,} bad lines in {self.new_parts:,} new parts{left}"
        )


@dataclass
class _Batch:
    """Lines of one part; `stop` is the first byte after them."""

    start: int
    stop: int
    lines: list[Line] = field(default_factory=list)
    bad: list[Bad] = field(default_factory=list)

    def add(self, at: int, raw: bytes, names: FeatureNames) -> None:
        try:
            if raw.startswith(ERASED):
                self.stop = at + len(raw)
                return
            if not raw.endswith(b"\n"):
                raise LineError(TORN)
            self.lines.append(parse(at, raw, names))
        except LineError as error:
            self.bad.append((at, str(error), raw))
        self.stop = at + len(raw)  # an error of the disk leaves the line out

    def counted(self) -> Collected:
        predictions = sum(isinstance(line.record, Answer) for line in self.lines)
        outcomes = sum(isinstance(line.record, Outcome) for line in self.lines)
        return Collected(predictions, outcomes, len(self.lines) - predictions - outcomes, len(self.bad), 1)


def collect(settings: Settings, model: str) -> Collected:
    """Publish every complete line of the log that no part has yet; a second process waits for the first.

    Lines that make no sense are kept as bad ones with the reason. What the disk does not give is left for the next
    collection, and said. The torn end of a segment is left alone until nobody can complete it any more, and is a bad
    line then.
    """
    home, folder = parts_home(settings, model), log_folder(settings, model)
    with file_lock(home / ".lock"):
        return _collect(home, folder)


def reread(settings: Settings, model: str) -> tuple[Collected, list[date]]:
    """Read again every range that has bad lines and whose segment is still there; one that cannot be read stays.

    Returns what they are now, and the days that may have other rows by it: publish them again.
    """
    home, folder = parts_home(settings, model), log_folder(settings, model)
    with file_lock(home / ".lock"):
        before = walk_parts(home)
        bad = {(each.segment, each.path.parent) for each in before if each.kind is Kind.BAD}
        segments, names, left = list_segments(folder), feature_names(folder), list[str]()
        again = set[Path]()
        for segment in segments:
            for part in sorted(part for of, part in bad if of == segment.name and range_of(part)[1] <= segment.size):
                if failed := _failures(segment, range_of(part), names):
                    left += failed
                else:
                    again.add(part)
        for part in again:
            part.rename(part.with_name(f".{part.name}.again.tmp"))  # unread from here on: a kill costs nothing
        found = _collect(home, folder) + Collected(left=tuple(left))
        kept = {each.path.parent for each in before} - again
        fresh = [each for each in walk_parts(home) if each.path.parent not in kept and each.kind is not Kind.BAD]
    return found, [date.fromisoformat(day) for day in sorted({each.hour[:10] for each in fresh})]


def _failures(segment: Segment, read: Range, names: FeatureNames) -> list[str]:
    """Why a range cannot be read now."""
    left: list[str] = []
    deque(_batches(segment, read, names, left), maxlen=0)
    return left


def _collect(home: Path, folder: Path) -> Collected:
    began = time.time()
    names = feature_names(folder)
    total = sum((_collect_segment(segment, home, names) for segment in list_segments(folder)), start=Collected())
    _remember(home, began)
    return total


def uncollected(settings: Settings, model: str) -> int:
    """Bytes of the log that no part has yet; torn ends count."""
    home = parts_home(settings, model)
    return sum(
        stop - start
        for segment in list_segments(log_folder(settings, model))
        for start, stop in unread(ranges(home / segment.name), segment.size)
    )


def collected_until(home: Path) -> float:
    """When the newest complete collection began (seconds since 1970; 0: never): older bytes are all in parts."""
    try:
        return (home / ".collected").stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _remember(home: Path, began: float) -> None:
    mark = home / ".collected"
    mark.touch()
    os.utime(mark, (began, began))


def _collect_segment(segment: Segment, home: Path, names: FeatureNames) -> Collected:
    folder = home / segment.name
    total = Collected()
    for read in unread(ranges(folder), segment.size):
        _sweep(folder)
        left: list[str] = []
        for batch in _batches(segment, read, names, left):
            _publish(folder, segment.name, batch, names)
            total += batch.counted()
        total += Collected(left=tuple(left))
    return total


def _batches(segment: Segment, read: Range, names: FeatureNames, left: list[str]) -> Iterator[_Batch]:
    """Cut a range into parts; a torn end that may still be completed, and what cannot be read, is left for later."""
    batch = _Batch(read[0], read[0])
    try:
        for at, raw in read_lines(segment.path, *read):
            if not (segment.ended or raw.endswith(b"\n")):
                break
            batch.add(at, raw, names)
            if batch.stop - batch.start >= BATCH_BYTES:
                yield batch
                batch = _Batch(batch.stop, batch.stop)
    except OSError as error:  # of reading: what is done with a batch is not seen here
        left.append(f"{segment.path.name} from byte {batch.stop:,}: {error}")
    if batch.stop > batch.start:
        yield batch


def _publish(folder: Path, segment: str, batch: _Batch, names: FeatureNames) -> None:
    tables = build(segment, batch.lines, batch.bad, names, datetime.now(UTC))
    with publish_folder(range_folder(folder, (batch.start, batch.stop))) as aside:
        for (kind, hour), table in tables.items():
            _write(table, aside / f"{kind}-{hour}.parquet")


def _write(table: pa.Table, path: Path) -> None:
    texts = [each.name for each in table.schema if not pa.types.is_floating(each.type)]
    pq.write_table(table, path, compression="zstd", use_dictionary=texts)


def _sweep(folder: Path) -> None:
    """Remove what a killed collection has left."""
    for left in folder.glob(".*.tmp"):
        shutil.rmtree(left, ignore_errors=True)
