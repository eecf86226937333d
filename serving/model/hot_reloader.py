"""Following the pointer and the release: a new champion is taken up without dropping a request.

Handlers read `HotReloader.serving` once per request; the follower's thread replaces it, by one assignment, only
by models that were verified by hash, fit their features and have scored a probe. Whatever is wrong with a new
version, the old one keeps serving; whatever is wrong with a challenger or its release, the champion does.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from feature_repo.stores.description import OnlineStoreError
from ml_assets.registry.pointer import Pointer, PointerError, require_pointer
from ml_assets.registry.release import Release, read_release
from ml_assets.registry.versions import CorruptedVersionError
from ml_assets.retrieval.store import IndexFilesError
from serving.config import ServiceConfig
from serving.model.features import GuardedReader
from serving.model.kinds import kind_of
from serving.model.loaded import LoadedModel, LoadError
from serving.model.loader import last_good, load, load_baked, load_challenger
from serving.model.router import Serving

logger = logging.getLogger("serving.model.hot_reloader")

EXPECTED = (PointerError, LoadError, CorruptedVersionError, IndexFilesError, OnlineStoreError, FileNotFoundError)
"""What is wrong with files; anything else is logged with its traceback."""
SHOWN = {"model_version", "stage", "share"}
"""What `/readyz` says about a release: nothing that customers were ever split by."""


class Watched:
    """A file to look at when it changed, or when what it said failed and a growing pause has passed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem: str | None = None
        self._seen: tuple[int, ...] | None = ()  # unlike any state, so that the first look counts
        self._failures, self.retry_at = 0, 0.0

    def due(self) -> bool:
        """Whether to look now."""
        state = self._state()
        if state != self._seen:
            self._seen, self._failures = state, 0
            return True
        return bool(self._failures) and time.monotonic() >= self.retry_at

    def failed(self, error: Exception) -> None:
        """What it said could not be done: again later."""
        self._failures += 1
        self.retry_at = time.monotonic() + min(60.0, 2.0**self._failures)
        self.problem = str(error)
        logger.error("%s was not taken up: %s", self.path, error, exc_info=not isinstance(error, EXPECTED))

    def done(self, problem: str | None = None) -> None:
        """Nothing to try again, though something may be wrong."""
        self._failures, self.problem = 0, problem

    def _state(self) -> tuple[int, ...] | None:
        try:
            stat = self.path.stat()
        except OSError:
            return None
        return (stat.st_mtime_ns, stat.st_ino, stat.st_size)


class HotReloader:
    """Polls the pointer and the release, loads what they name in a thread, and swaps by assigning `serving`.

    What could not be taken up is tried again with growing pauses, at once when its file changes. `taken_back` says why
    a version is not to serve again: neither an earlier deployment of it nor the built-in one stands in.
    """

    def __init__(
        self,
        pointer: Path,
        release: Path,
        config: ServiceConfig,
        *,
        built_in: Pointer | None = None,
        popular: Path | None = None,
        poll_seconds: float = 0.25,
        observe: Callable[[str], None] = lambda outcome: None,
        taken_back: Callable[[str], str | None] = lambda version: None,
    ) -> None:
        self.serving = Serving()
        self.pointer, self.release = Watched(pointer), Watched(release)
        self._config, self._kind = config, kind_of(config)
        self._built_in, self._popular = built_in, popular
        self._poll_seconds = poll_seconds
        self._observe, self._taken_back = observe, taken_back
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    def start(self) -> None:
        """Load once, from the pointer or else from what is older, and follow both files from now on."""
        self.poll()
        if self.serving.champion is None:
            self.serving = self._with_release(self._older())
            self._observe("fallback" if self.serving.champion or self.serving.popular else "rejected")
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._thread.join(5.0)

    def under_way(self) -> bool:
        """Whether the file of a release is there, now."""
        try:
            return self.release.path.exists()
        except OSError:
            return False

    def poll(self) -> None:
        """Look at both files once and take up what is new, both in one step."""
        before = self.serving
        release_due, pointer_due = self.release.due(), self.pointer.due()
        serving = self._with_pointer(before) if pointer_due else before
        swapped = serving.champion is not before.champion
        if release_due or swapped:
            serving = self._with_release(serving, before.challenger)
        if serving is not before:
            self.serving = serving
            self._observe("loaded" if swapped else "release")

    def _with_pointer(self, serving: Serving) -> Serving:
        """With the champion that the pointer names, or as it was."""
        current = serving.champion
        try:
            pointer = require_pointer(self.pointer.path)
            if pointer.model_name not in {None, self._config.model_name}:
                raise PointerError(
                    f"{self.pointer.path} is for {pointer.model_name}, this serves {self._config.model_name}"
                )
            if current is None or current.baked or pointer != current.pointer:
                timeout = self._config.feature_timeout_ms
                serving = self._led_by(load(pointer, self._config.feature_service, current, feature_timeout_ms=timeout))
                logger.info("serving version %s", pointer.model_version)
        except Exception as error:  # whatever is wrong with a new version, the old one keeps serving
            self.pointer.failed(error)
            self._observe("rejected")
        else:
            self.pointer.done()
        return serving

    def _older(self) -> Serving:
        """What else can serve when the pointer's version cannot: an earlier one, the built-in one, popularity."""
        problems, found = [self.reason], Serving()
        for what, attempt in self._attempts():
            try:
                found = attempt()
            except Exception as error:  # the next may do
                problems.append(f"{what} cannot serve either: {error}")
                logger.error("%s cannot serve: %s", what, error, exc_info=not isinstance(error, EXPECTED))
            else:
                logger.warning("%s serves", what)
                break
        self.pointer.problem = "; ".join(problems)
        return found

    def _attempts(self) -> Iterator[tuple[str, Callable[[], Serving]]]:
        built_in, popular, path = self._built_in, self._popular, self.pointer.path
        service, timeout = self._config.feature_service, self._config.feature_timeout_ms
        yield (
            "what served before",
            lambda: self._led_by(last_good(path, service, feature_timeout_ms=timeout, taken_back=self._taken_back)),
        )
        if built_in:
            yield "the built-in version", lambda: self._led_by(self._built_in_version(built_in, service, timeout))
        if popular:
            yield self._kind.called, lambda: Serving(popular=self._kind.load(popular))

    def _built_in_version(self, pointer: Pointer, service: str, timeout: float) -> LoadedModel:
        refused = self._taken_back(pointer.model_version)
        if refused:
            raise LoadError(refused)
        return load_baked(pointer, service, feature_timeout_ms=timeout)

    def _led_by(self, champion: LoadedModel) -> Serving:
        return Serving(champion, popular=self._kind.last_resort(champion))

    def _with_release(self, serving: Serving, challenger: LoadedModel | None = None) -> Serving:
        """With the release under way, when there is one for this champion; `challenger`: the one loaded so far."""
        path, champion = self.release.path, serving.champion
        try:
            release = read_release(path)
            problem = _why_not(release, champion, self._config.model_name) if release else None
        except (OSError, ValueError) as error:
            release, problem = None, f"the release at {path} is not usable: {error}"
        if problem:
            logger.warning("the champion serves everybody: %s", problem)
            self._observe("ignored")
        if release is None or champion is None or problem:
            self.release.done(problem)
            return replace(serving, release=None, challenger=None) if serving.release else serving
        return replace(serving, release=release, challenger=self._challenger(release, champion, challenger))

    def _challenger(self, release: Release, champion: LoadedModel, loaded: LoadedModel | None) -> LoadedModel | None:
        """The release's model on the champion's data, or None when it cannot serve; `loaded` when it is that."""
        named = release.model_dump(include={"model_version", "model_path", "model_sha256"})
        wanted = champion.pointer.model_copy(update=named)
        # every champion has a reader of its own
        if loaded is None or loaded.reader is not champion.reader or loaded.pointer != wanted:
            try:
                loaded = load_challenger(champion, release)
            except Exception as error:  # the champion answers instead
                self.release.failed(error)
                self._observe("unusable")
                return None
            logger.info("release %s: %s beside %s", release.release_id, release.model_version, release.champion_version)
        self.release.done()
        return loaded

    def _run(self) -> None:
        while not self._stopping.wait(self._poll_seconds):
            try:
                self.poll()
            except Exception:  # an error of ours must not end the following
                logger.exception("could not follow %s", self.pointer.path)

    @property
    def reason(self) -> str:
        """Why nothing serves."""
        return self.pointer.problem or "still loading"

    def status(self) -> dict[str, Any]:
        """What `/readyz` says."""
        serving = self.serving
        release = serving.release
        if serving.champion is None and serving.popular is None:
            return {"status": "not ready", "reason": self.reason}
        pointer = serving.champion.pointer if serving.champion else None
        return {
            "status": "ready" if pointer else f"{self._kind.called} only",
            "model_name": self._config.model_name,
            "model_version": pointer.model_version if pointer else self._kind.unmodelled,
            "as_of": pointer.as_of.isoformat() if pointer else None,
            "deployed_at": pointer.deployed_at.isoformat() if pointer else None,
            "built_in": serving.champion is not None and serving.champion.baked,
            "problem": self.pointer.problem or _without_features(serving.champion),
            "release": release.model_dump(mode="json", include=SHOWN) if release else None,
            "release_problem": self.release.problem,
        }


def _without_features(champion: LoadedModel | None) -> str | None:
    """Why the champion's answers have to do without features, or None."""
    return champion.reader.problem if champion and isinstance(champion.reader, GuardedReader) else None


def _why_not(release: Release, champion: LoadedModel | None, model: str) -> str | None:
    """Why a release does not apply, or None."""
    if release.model_name != model:
        return f"the release of {release.model_version} is for {release.model_name}, this serves {model}"
    if champion is None:
        return f"the release of {release.model_version} has no champion to stand beside"
    serving = champion.pointer.model_version
    if release.champion_version != serving:
        return f"the release of {release.model_version} is against {release.champion_version}, but {serving} serves"
    return None
