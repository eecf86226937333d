"""When the stream is to end, and how long what is in hand may still take."""

from __future__ import annotations

import time

GRACE_SECONDS = 10.0


class StreamError(RuntimeError):
    """The stream cannot go on; nothing that was not answered is committed. The text says why and what to do."""


class Leave:
    """Asked once, by a signal: what is in hand is finished within the grace period, nothing new is begun."""

    def __init__(self, grace_seconds: float = GRACE_SECONDS) -> None:
        self._grace_seconds = grace_seconds
        self._deadline: float | None = None

    def ask(self, *_signal: object) -> None:
        """End soon; serves as a signal handler."""
        if self._deadline is None:
            self._deadline = time.monotonic() + self._grace_seconds

    @property
    def asked(self) -> bool:
        """Whether to begin nothing new."""
        return self._deadline is not None

    def check(self, doing: str) -> None:
        """Go on with what is in hand, unless the grace period is over.

        Raises:
            StreamError: when it is over.
        """
        if self._deadline is not None and time.monotonic() >= self._deadline:
            raise StreamError(f"still {doing} when time was up: the requests in hand are delivered again")
