"""Who answers a request: the champion, the challenger of a release, or what needs no model (popularity, the prior).

All that could answer is one immutable snapshot, read once per request: whatever is swapped meanwhile, an answer
is of one version and its arm says which. Customers stay in their arm: it depends on who asks, never on chance.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from ml_assets.registry.pointer import Pointer
from ml_assets.registry.release import Arm, Release, Stage, bucket
from serving.config import ServiceConfig
from serving.kinds import LastResort, Made, Request, kind_of
from serving.loader import LoadedModel
from serving.schemas import Refusal

logger = logging.getLogger("serving.router")

POPULAR = "popular"
"""What an answer that no model made names as its version."""
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
    popular: LastResort | None = None
    release: Release | None = None
    challenger: LoadedModel | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer and who made it.

    Attributes:
        arm: the part of the traffic it belongs to.
        answer: what was answered.
        loaded: the model that made it; None when popularity did.
        pointer: index, online store and "now" it was made from; None without any.
        release_id: the release under way.
        shadow: the challenger that is to score the same request unseen.
        unmodelled: what it names as its version when no model made it.
    """

    arm: Arm
    answer: Made
    loaded: LoadedModel | None
    pointer: Pointer | None
    release_id: str | None = None
    shadow: LoadedModel | None = None
    unmodelled: str = POPULAR

    @property
    def model_version(self) -> str:
        """The version that made it; of an answer that no model made, what it is."""
        return self.loaded.pointer.model_version if self.loaded else self.unmodelled

    @property
    def features(self) -> tuple[str, ...] | None:
        """Names of the answer's feature columns."""
        return self.loaded.features if self.loaded else None


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

    def answer(self, serving: Serving, request: Request, k: int, seed: int) -> Answered:
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
        arm = self._arm(release, request.customer)
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

    def _arm(self, release: Release | None, customer: str) -> Arm:
        if self._config.holdback and bucket(self._salt, customer) < self._config.holdback:
            return Arm.HOLDBACK
        if release and release.stage is Stage.CANARY and bucket(release.release_id, customer) < release.share:
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
    ) -> Answered | None:
        """A model's answer; None when there is no model, or it fails."""
        if loaded is None:
            return None
        try:
            answer = self._kind.answer(loaded, request, k, seed)
        except Exception as error:  # whatever it is, somebody else can answer
            fault = (loaded.pointer.model_version, type(error).__name__)
            if fault not in self._told:  # once: it may be every request
                self._told.add(fault)
                logger.exception("version %s (%s) could not answer", loaded.pointer.model_version, arm)
            return None
        if degraded:
            answer = replace(answer, degraded=[*answer.degraded, *degraded])
        return Answered(arm, answer, loaded, loaded.pointer)

    def _modelless(
        self,
        serving: Serving,
        request: Request,
        k: int,
        arm: Arm,
        degraded: list[str] | None = None,
    ) -> Answered | None:
        """The answer that takes no model (what is popular, the prior); None when nobody knows it."""
        if serving.popular is None:
            return None
        champion = serving.champion
        answer = self._kind.without(serving.popular, champion, request, k)
        answer = replace(answer, degraded=[*(degraded or ()), *answer.degraded])
        return Answered(arm, answer, None, champion.pointer if champion else None, unmodelled=self._kind.unmodelled)
