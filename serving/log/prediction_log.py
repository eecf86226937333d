"""The prediction log: every answer with the features it was made from, written off the request's path.

One JSON line per answer, outcome or refusal (`serving.model.lines`), in segments per worker process. A line reaches
the operating system within a fraction of a second (a killed worker loses no more), and the disk when its
segment is closed. The names of the features are kept once beside the segments, and lines refer to them by
`features_id`. Nothing is written while the disk is nearly full (`serving.log.free_space`).
"""

from __future__ import annotations

import hashlib
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from ml_assets.storage.files import write_text_atomically
from ml_assets.storage.log_layout import Rotation
from serving.log.free_space import FreeSpace

logger = logging.getLogger("serving.log.prediction_log")

BATCH = 256
"""Lines written at once at most."""
GATHER = 0.05
"""Seconds between two batches: a thread that woke for each line would take the interpreter from each request."""


def _keep_names(folder: Path, names: tuple[str, ...]) -> str:
    """Keep the feature names beside the segments and return the id that lines refer to them by."""
    text = orjson.dumps(names).decode()
    features_id = hashlib.sha256(text.encode()).hexdigest()[:12]
    path = folder / f"features-{features_id}.json"
    if not path.exists():
        write_text_atomically(path, text)
    return features_id


class PredictionLog:
    """A bounded queue and the thread that empties it into the segments of this process.

    `put` never waits: when `capacity` records wait already, or the disk is nearly full or refuses, records are
    dropped and `dropped` is called with how many were; `written` is called with how many lines went out, and
    `looked`, once a second or more often, with what keeps lines from being written, or None.
    """

    def __init__(
        self,
        folder: Path,
        *,
        capacity: int = 10_000,
        rotation: Rotation | None = None,
        dropped: Callable[[int], None] = lambda count: None,
        written: Callable[[int], None] = lambda count: None,
        looked: Callable[[str | None], None] = lambda problem: None,
    ) -> None:
        self.folder = folder
        self._queue: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._capacity = capacity
        self._rotation = rotation or Rotation()
        self._dropped, self._written, self._looked = dropped, written, looked
        self._space = FreeSpace(folder)
        self._refusal: Exception | None = None
        self._told: str | None = None
        self._names: dict[tuple[str, ...], str] = {}
        self._segment: BinaryIO | None = None
        self._opened = 0.0
        self._writing = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._thread.start()

    def put(self, *records: dict[str, Any]) -> bool:
        """Hand records over without waiting, all of them or none; False when they were dropped.

        `feature_names`, a tuple or None, is kept apart; the rest becomes the line. Nobody may change the
        records any more.
        """
        if self._queue.qsize() + len(records) > self._capacity:  # two threads may pass at once: a bound all the same
            self._dropped(len(records))
            return False
        for record in records:
            self._queue.put(record)
        return True

    def write(self, records: Sequence[dict[str, Any]]) -> bool:
        """Write records now; False when the disk is nearly full or refuses; else the operating system has their lines.

        Records are as in `put`. Lines of which a part was written before the disk refused are there as well
        when they are written again.
        """
        with self._writing:
            return self._write(records)

    def close(self, timeout: float = 10.0) -> None:
        """Write what is queued, close the segment, and end the thread; waits `timeout` seconds at most."""
        self._closing.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        while not (self._closing.is_set() and self._queue.empty()):
            batch = self._next_batch()
            with self._writing:
                if batch and not self._write(batch):
                    self._dropped(len(batch))
                self._tell()
                if self._due():
                    self._close_segment()
            if len(batch) < BATCH:
                self._closing.wait(GATHER)
        self._close_segment()

    def _next_batch(self) -> list[dict[str, Any]]:
        try:
            batch = [self._queue.get(timeout=0.2)]
        except queue.Empty:
            return []
        while len(batch) < BATCH:
            try:
                batch.append(self._queue.get_nowait())
            except queue.Empty:
                break
        return batch

    def waiting(self) -> int:
        """How many records nobody has begun to write yet."""
        return self._queue.qsize()

    def _write(self, batch: Sequence[dict[str, Any]]) -> bool:
        if self._space.problem():
            return False
        try:
            lines = [self._line(record) for record in batch]
            segment = self._segment or self._open_segment()
            segment.write(b"\n".join(lines) + b"\n")
            segment.flush()
        except (OSError, TypeError, ValueError) as error:
            self._refusal = error
            self._close_segment()
            return False
        self._refusal = None
        self._written(len(batch))
        return True

    def _tell(self) -> None:
        """Say what keeps lines from being written; in the server's log only when that has changed."""
        problem, error = self._space.problem(), self._refusal
        if problem is None and error is not None:  # without the name of the segment, which is another each time
            problem = f"{self.folder} takes no lines: {(isinstance(error, OSError) and error.strerror) or error}"
        if problem != self._told:
            level = logging.ERROR if problem else logging.INFO
            logger.log(level, "%s", problem or f"lines are logged to {self.folder} again", exc_info=error)
            self._told = problem
        self._looked(problem)

    def _line(self, record: dict[str, Any]) -> bytes:
        if "feature_names" in record:
            names = record["feature_names"]
            if names and names not in self._names:
                self._names[names] = _keep_names(self.folder, names)
            record = {**record, "features_id": self._names.get(names)}
            del record["feature_names"]
        return orjson.dumps(record, option=orjson.OPT_SERIALIZE_NUMPY)

    def _open_segment(self) -> BinaryIO:
        self.folder.mkdir(parents=True, exist_ok=True)
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        self._segment = (self.folder / f"{stamp}-{os.getpid()}.jsonl").open("xb")
        self._opened = time.monotonic()
        return self._segment

    def _due(self) -> bool:
        if self._segment is None:
            return False
        aged = time.monotonic() - self._opened >= self._rotation.max_seconds
        return aged or self._segment.tell() >= self._rotation.max_bytes

    def _close_segment(self) -> None:
        segment, self._segment = self._segment, None
        if segment is None:
            return
        try:
            with segment:
                os.fsync(segment.fileno())
        except OSError:
            logger.exception("could not close the segment %s", segment.name)
