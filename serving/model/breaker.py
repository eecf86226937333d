"""A circuit breaker (Nygard, Release It!, 2nd ed. 2018, ch. 5): what keeps failing is left alone for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from enum import StrEnum


class State(StrEnum):
    """What a breaker lets through."""

    CLOSED = "closed"
    """Everything."""
    OPEN = "open"
    """Nothing until the pause is over."""
    HALF_OPEN = "half-open"
    """One attempt is under way, which decides; nothing else."""


class Breaker:
    """Opens after `failures` failures in a row, then lets one attempt through per pause until one succeeds.

    Who is let through says afterwards how it went. The pause doubles with each attempt that fails, up to
    `max_pause_seconds`. An attempt that never says how it went holds the others up for one pause, not for
    ever. Thread-safe.

    Args:
        failures: failures in a row that open it.
        pause_seconds: the first pause.
        clock: seconds that only grow.
        max_pause_seconds: the longest pause, hence the longest wait until a recovery is noticed.
    """

    def __init__(
        self,
        failures: int = 3,
        pause_seconds: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        *,
        max_pause_seconds: float = 30.0,
    ) -> None:
        if failures < 1 or not 0 < pause_seconds <= max_pause_seconds:
            raise ValueError(f"{failures} failures, pauses {pause_seconds} to {max_pause_seconds} s: must be positive")
        self._needed, self._pauses, self._clock = failures, (pause_seconds, max_pause_seconds), clock
        self._lock = threading.Lock()
        self._state, self._in_a_row = State.CLOSED, 0
        self._pause, self._try_at = pause_seconds, 0.0

    @property
    def state(self) -> State:
        """What it lets through now."""
        return self._state

    def allow(self) -> bool:
        """Whether to try now; who may must call `succeeded` or `failed` after it."""
        if self.state is State.CLOSED:  # the usual case takes no lock
            return True
        with self._lock:
            if self._state is not State.CLOSED:
                now = self._clock()
                if now < self._try_at:
                    return False
                self._state, self._try_at = State.HALF_OPEN, now + self._pause
            return True

    def succeeded(self) -> None:
        """An attempt went well: closes the breaker, unless it began before the breaker opened."""
        if self.state is State.CLOSED and not self._in_a_row:
            return
        with self._lock:
            if self._state is not State.OPEN:
                self._state, self._in_a_row, self._pause = State.CLOSED, 0, self._pauses[0]

    def failed(self) -> None:
        """An attempt failed: opens the breaker when it was one too many, or the one that was to decide."""
        with self._lock:
            if self._state is State.OPEN:  # it began before the breaker opened
                return
            self._in_a_row += 1
            if self._state is State.HALF_OPEN:
                self._pause = min(2 * self._pause, self._pauses[1])
            elif self._in_a_row < self._needed:
                return
            self._state, self._try_at = State.OPEN, self._clock() + self._pause
