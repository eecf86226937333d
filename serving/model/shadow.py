"""Shadow scoring: a challenger answers what the champion has answered, after the reply, seen by nobody."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ml_assets.registry.release import Arm
from serving.model import lines
from serving.model.exchange import RequestContext, RoutedResponse
from serving.model.loaded import LoadedModel
from serving.model.scorer import score
from serving.schemas import RecommendRequest

logger = logging.getLogger("serving.model.shadow")


Job = tuple[RequestContext, LoadedModel, str | None]


REST = 1.0
"""Seconds of rest per second of scoring: however many ask, the interpreter is the champion's half of the time."""


class Shadow:
    """A bounded queue and the thread that scores what is in it, with rests; `put` never waits.

    Args:
        log: takes the finished line.
        served_by: who says so in the line.
        wanted: whether the release is still under way; what waits when it ends is thrown away.
        capacity: requests that may wait; more are dropped.
        dropped: called for each that was not scored.
        failed: called with the version when a challenger could not score.
    """

    def __init__(
        self,
        log: Callable[[dict[str, Any]], object],
        served_by: str,
        *,
        wanted: Callable[[], bool] = lambda: True,
        capacity: int = 64,
        dropped: Callable[[], None] = lambda: None,
        failed: Callable[[str], None] = lambda version: None,
    ) -> None:
        self._log, self._served_by, self._wanted = log, served_by, wanted
        self._dropped, self._failed = dropped, failed
        self._queue: queue.Queue[Job] = queue.Queue(capacity)
        self._closing = threading.Event()
        self._rng = np.random.default_rng()
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
        self._thread.start()

    def put(self, asked: RequestContext, challenger: LoadedModel, release_id: str | None) -> None:
        """Have a request that was answered scored by a challenger too, when there is time."""
        try:
            self._queue.put_nowait((asked, challenger, release_id))
        except queue.Full:
            self._dropped()

    def close(self) -> None:
        """End the thread; what waits is dropped."""
        self._closing.set()
        self._thread.join(5.0)

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                job = self._queue.get(timeout=0.2)
            except queue.Empty:
                continue
            if self._wanted():
                began = time.perf_counter()
                self._score(*job)
                self._closing.wait(REST * (time.perf_counter() - began))
            else:
                self._dropped()

    def _score(self, asked: RequestContext, challenger: LoadedModel, release_id: str | None) -> None:
        pointer = challenger.pointer
        began = time.perf_counter()
        assert isinstance(asked.request, RecommendRequest)  # noqa: S101  # only rankings have challengers
        try:
            answer = score(challenger, asked.request, asked.k, explore=0.0, rng=self._rng)
        except Exception:  # nobody waits for it, but it must not come to serve
            logger.exception("the challenger %s could not score unseen", pointer.model_version)
            self._failed(pointer.model_version)
            return
        seconds = time.perf_counter() - began
        unseen = replace(asked, prediction_id=f"{asked.prediction_id}-{Arm.SHADOW}")
        answered = RoutedResponse(Arm.SHADOW, answer, challenger, pointer, release_id)
        self._log(lines.prediction(unseen, answered, seconds, self._served_by))
