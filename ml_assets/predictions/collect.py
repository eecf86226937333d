"""The service's log into parts, exactly once: each range of bytes is published by one rename, or read again."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ml_assets.files import publish_folder
from ml_assets.predictions.lines import Answer, FeatureNames, Line, LineError, Outcome, feature_names, parse
from ml_assets.predictions.parts import Range, parts_home, range_folder, ranges, unread
from ml_assets.predictions.segments import Segment, list_segments, read_lines
from ml_assets.predictions.tables import Bad, build
from ml_assets.registry.lock import file_lock
from ml_assets.settings import Settings
from serving.prediction_log import log_folder

BATCH_BYTES = 16 * 1024 * 1024
"""Bytes of a segment that become one part, so that memory stays bounded."""

TORN = "the line has no end: its writer was killed"


@dataclass(frozen=True)
class Collected:
    """What one collection added: lines of each kind, and the ranges they came from."""

    predictions: int = 0
    outcomes: int = 0
    refusals: int = 0
    bad: int = 0
    new_parts: int = 0

    def __add__(self, other: Collected) -> Collected:
        return Collected(
            self.predictions + other.predictions,
            self.outcomes + other.outcomes,
            self.refusals + other.refusals,
            self.bad + other.bad,
            self.new_parts + other.new_parts,
        )

    @property
    def text(self) -> str:
        """One sentence for a log."""
        if not self.new_parts:
            return "nothing new in the prediction log"
        return (
            f"collected {self.predictions:,} answers, {self.outcomes:,} outcomes, {self.refusals:,} refusals and "
            f"{self.bad:,} bad lines in {self.new_parts:,} new parts"
        )


@dataclass
class _Batch:
    """Lines of one part; `stop` is the first byte after them."""

    start: int
    stop: int
    lines: list[Line] = field(default_factory=list)
    bad: list[Bad] = field(default_factory=list)

    def add(self, at: int, raw: bytes, names: FeatureNames) -> None:
        self.stop = at + len(raw)
        try:
            if not raw.endswith(b"\n"):
                raise LineError(TORN)
            self.lines.append(parse(at, raw, names))
        except LineError as error:
            self.bad.append((at, str(error), raw))

    def counted(self) -> Collected:
        predictions = sum(isinstance(line.record, Answer) for line in self.lines)
        outcomes = sum(isinstance(line.record, Outcome) for line in self.lines)
        return Collected(predictions, outcomes, len(self.lines) - predictions - outcomes, len(self.bad), 1)


def collect(settings: Settings, model: str) -> Collected:
    """Publish every complete line of the log that no part has yet; a second process waits for the first.

    Lines that cannot be read are kept as bad ones with the reason. The torn end of a segment is left alone
    until nobody can complete it any more, and is a bad line then.
    """
    home, folder = parts_home(settings, model), log_folder(settings, model)
    with file_lock(home / ".lock"):
        began = time.time()
        names = feature_names(folder)
        done = (_collect_segment(segment, home, names) for segment in list_segments(folder))
        total = sum(done, start=Collected())
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
        for batch in _batches(segment, read, names):
            _publish(folder, segment.name, batch, names)
            total += batch.counted()
    return total


def _batches(segment: Segment, read: Range, names: FeatureNames) -> Iterator[_Batch]:
    """Cut a range into parts; a torn end that may still be completed is left for later."""
    batch = _Batch(read[0], read[0])
    for at, raw in read_lines(segment.path, *read):
        if not (segment.ended or raw.endswith(b"\n")):
            break
        batch.add(at, raw, names)
        if batch.stop - batch.start >= BATCH_BYTES:
            yield batch
            batch = _Batch(batch.stop, batch.stop)
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
    with path.open("rb") as written:
        os.fsync(written.fileno())  # the rename that follows says that these bytes were read


def _sweep(folder: Path) -> None:
    """Remove what a killed collection has left."""
    for left in folder.glob(".*.tmp"):
        shutil.rmtree(left, ignore_errors=True)
