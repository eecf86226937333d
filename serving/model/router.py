"""Who answers a request: the champion, the challenger of a release, or what needs no model (popularity, the prior).

All that could answer is one immutable snapshot, read once per request: whatever is swapped meanwhile, an answer
is of one version and its arm says which. Customers stay in their arm: it depends on who asks, never on chance.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from ml_assets.registry.release import STALE, Arm, Release, Stage, bucket
from serving.config import ServiceConfig
from serving.model.exchange import Request, RoutedResponse
from serving.model.kinds import FallbackPredictor, kind_of
from serving.model.loaded import LoadedModel
from serving.schemas import Refusal

logger = logging.getLogger("serving.model.router")

CHALLENGER = "challenger"
"""Degraded: the challenger was to answer and could not, the champion did."""
MODEL = "model"
"""Degraded: no model could answer, popularity or the prior did."""


@dataclass(frozen=True, slots=True)
class Serving:
    """All that can answer, of one moment; never changed, only replaced.

    `release` is None unless it applies to this very champion; its `challenger` is None when it does not load.
    """

    champion: LoadedModel | None = None
    popular: FallbackPredictor | None = None
    release: Release | None = None
    challenger: LoadedModel | None = None


class Router:
    """Decides who answers, and falls back to whoever can.

    Args:
        config: shares of holdback and exploration.
        under_way: whether the release still is; asked for each request while one is, so that removing its
            file ends it at the next request, in all workers, whatever their followers are busy with.
        failed: called with the version when a challenger could not answer.
    """

    def __init__(
        self,
        config: ServiceConfig,
        under_way: Callable[[], bool],
        failed: Callable[[str], None] = lambda version: None,
    ) -> None:
        self._config, self._kind = config, kind_of(config)
        self._under_way = under_way
        self._failed = failed
        self._salt = f"{config.model_name}:holdback"
        self._told: set[tuple[str, str]] = set()
        self.fault: str | None = None
        """Why the champion could not make the answer it was asked for last; None when it could."""

    def answer(self, serving: Serving, request: Request, k: int, seed: int) -> RoutedResponse:
        """Answer by the arm the customer is in, else by the champion, else without a model.

        Args:
            serving: all that can answer.
            request: the request.
            k: products wanted.
            seed: what exploration draws from: the same one draws the same.

        Raises:
            Refusal: 503 when nothing can answer.
        """
        release = serving.release if serving.release and self._under_way() else None
        arm = self.arm_of(release, request.customer)
        made = self._modelless(serving, request, k, arm) if arm is Arm.HOLDBACK else None
        degraded = []
        if made is None and arm is Arm.CANARY:
            made = self._scored(serving.challenger, request, k, arm, seed)
            if made is None:
                degraded = [CHALLENGER]
                self._failed(release.model_version if release else "")
        made = made or self._scored(serving.champion, request, k, Arm.CHAMPION, seed, degraded=degraded)
        made = made or self._modelless(serving, request, k, Arm.FALLBACK, [*degraded, MODEL])
        if made is None:
            raise Refusal(503, "no model to serve")
        if release is None:
            return made
        unseen = release.stage is Stage.SHADOW and made.arm is Arm.CHAMPION
        return replace(made, release_id=release.release_id, shadow=serving.challenger if unseen else None)

    def arm_of(self, release: Release | None, customer: str) -> Arm:
        """Who answers a customer: the popular list, the challenger or the champion."""
        if self._config.holdback and bucket(self._salt, customer) < self._config.holdback:
            return Arm.HOLDBACK
        if release and release.stage is Stage.CANARY and release.place(customer) < release.share:
            return Arm.CANARY
        return Arm.CHAMPION

    def _scored(
        self,
        loaded: LoadedModel | None,
        request: Request,
        k: int,
        arm: Arm,
        seed: int,
        *,
        degraded: list[str] | None = None,
    ) -> RoutedResponse | None:
        """A model's answer; None when there is no model, or it fails."""
        if loaded is None:
            return None
        try:
            answer = self._kind.answer(loaded, request, k, seed)
        except Exception as error:  # whatever it is, somebody else can answer
            version, name = loaded.pointer.model_version, type(error).__name__
            if (version, name) not in self._told:  # once: it may be every request
                self._told.add((version, name))
                logger.exception("version %s (%s) could not answer", version, arm)
            if arm is Arm.CHAMPION:
                self.fault = f"version {version} could not answer the last request ({name}): the log says why"
            return None
        if arm is Arm.CHAMPION:
            self.fault = None
        old = [STALE] if self._config.stale(loaded.pointer, time.time()) else []
        if degraded or old:
            answer = replace(answer, degraded=[*answer.degraded, *(degraded or ()), *old])
        return RoutedResponse(arm, answer, loaded, loaded.pointer)

    def _modelless(
        self,
        serving: Serving,
        request: Request,
        k: int,
        arm: Arm,
        degraded: list[str] | None = None,
    ) -> RoutedResponse | None:
        """The answer that takes no model (what is popular, the prior); None when nobody knows it."""
        if serving.popular is None:
            return None
        champion = serving.champion
        answer = self._kind.without(serving.popular, champion, request, k)
        answer = replace(answer, degraded=[*(degraded or ()), *answer.degraded])
        return RoutedResponse(
            arm, answer, None, champion.pointer if champion else None, unmodelled=self._kind.unmodelled
        )
