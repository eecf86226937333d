"""Following the pointer: a new champion is taken up without dropping a request.

Handlers read `Follower.loaded` once per request; the follower's thread replaces it, by one assignment, only
by a model that was verified by hash, fits its features and has scored a probe. Whatever is wrong with a new
version, the old one keeps serving.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from feature_repo.description import OnlineStoreError
from ml_assets.registry.pointer import Pointer, PointerError, require_pointer
from ml_assets.registry.versions import CorruptedVersionError
from ml_assets.retrieval.store import IndexFilesError
from serving.config import ServiceConfig
from serving.loader import LoadedModel, LoadError, load, load_baked

logger = logging.getLogger("serving.follower")

EXPECTED = (PointerError, LoadError, CorruptedVersionError, IndexFilesError, OnlineStoreError)
"""What is wrong with files; anything else is logged with its traceback."""


class Follower:
    """Follows a pointer file: polls it, loads what it names in a thread, and swaps by assigning `loaded`.

    A pointer that could not be taken up is tried again with growing pauses, at once when the file changes.
    """

    def __init__(
        self,
        path: Path,
        config: ServiceConfig,
        *,
        fallback: Pointer | None = None,
        poll_seconds: float = 0.25,
        observe: Callable[[str], None] = lambda outcome: None,
    ) -> None:
        self.loaded: LoadedModel | None = None
        self.problem: str | None = None
        self._path = path
        self._config = config
        self._fallback = fallback
        self._poll_seconds = poll_seconds
        self._observe = observe
        self._seen: tuple[int, ...] | None = ()  # unlike any state, so that the first poll looks
        self._retry_at, self._failures = 0.0, 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pointer-follower", daemon=True)

    def start(self) -> None:
        """Load once, from the pointer or else from the fallback, and follow the pointer from now on."""
        self.poll()
        if self.loaded is None and self._fallback is not None:
            self._fall_back(self._fallback)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._thread.join(5.0)

    def poll(self) -> None:
        """Look at the pointer once and take up what is new."""
        state = self._state()
        changed = state != self._seen
        if not changed and not (self._failures and time.monotonic() >= self._retry_at):
            return
        self._seen = state
        self._failures = 0 if changed else self._failures
        try:
            self._take_up(require_pointer(self._path))
        except Exception as error:  # whatever is wrong with a new version, the old one keeps serving
            self._failures += 1
            self._retry_at = time.monotonic() + min(60.0, 2.0**self._failures)
            self.problem = str(error)
            self._observe("rejected")
            expected = isinstance(error, EXPECTED)
            logger.error("the pointer %s was not taken up: %s", self._path, error, exc_info=not expected)
        else:
            self.problem, self._failures = None, 0

    def _fall_back(self, built_in: Pointer) -> None:
        try:
            self.loaded = load_baked(built_in, self._config.feature_service)
            self._observe("fallback")
            logger.warning("serving the built-in version %s", built_in.model_version)
        except Exception as error:
            self.problem = f"{self.problem}; the built-in version cannot serve either: {error}"
            logger.exception("the built-in version cannot serve")

    def _take_up(self, pointer: Pointer) -> None:
        if pointer.model_name not in {None, self._config.model_name}:
            raise PointerError(f"{self._path} is for {pointer.model_name}, this serves {self._config.model_name}")
        current = self.loaded
        if current is None or current.baked or pointer != current.pointer:
            self.loaded = load(pointer, self._config.feature_service, current)
            self._observe("loaded")
            logger.info("serving version %s", pointer.model_version)

    def _state(self) -> tuple[int, ...] | None:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return (stat.st_mtime_ns, stat.st_ino, stat.st_size)

    def _run(self) -> None:
        while not self._stopping.wait(self._poll_seconds):
            self.poll()

    def status(self) -> dict[str, Any]:
        """What `/readyz` says."""
        loaded = self.loaded
        if loaded is None:
            return {"status": "not ready", "reason": self.problem or "still loading"}
        return {
            "status": "ready",
            "model_name": loaded.pointer.model_name,
            "model_version": loaded.pointer.model_version,
            "as_of": loaded.pointer.as_of.isoformat(),
            "deployed_at": loaded.pointer.deployed_at.isoformat(),
            "built_in": loaded.baked,
            "problem": self.problem,
        }
