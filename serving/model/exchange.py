"""A request and its answer as the service passes them on: to the log, the metrics, and the shadow."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ml_assets.registry.pointer import Pointer
from ml_assets.registry.release import Arm
from serving.model.events import EventRequest, Prediction
from serving.model.loaded import LoadedModel
from serving.model.scorer import Answer
from serving.schemas import RecommendRequest

Request = RecommendRequest | EventRequest
ModelOutput = Answer | Prediction

POPULAR = "popular"
"""What an answer that no model made names as its version."""


@dataclass(frozen=True, slots=True)
class RequestContext:
    """A request that is answered: under which id, for how many products, when (UTC)."""

    prediction_id: str
    request: Request
    k: int
    at: datetime


@dataclass(frozen=True, slots=True)
class RoutedResponse:
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
    answer: ModelOutput
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
