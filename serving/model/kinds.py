"""What differs between the services of a ranking and of a binary or regression model; everything else is shared."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np

from serving.config import ServiceConfig
from serving.model import events, fallback, lines, prior
from serving.model.events import EventRequest, Prediction
from serving.model.exchange import ModelOutput, Request, RequestContext, RoutedResponse
from serving.model.fallback import Popular
from serving.model.loaded import LoadedModel
from serving.model.prior import PRIOR, Prior
from serving.model.scorer import Answer, score
from serving.schemas import RecommendRequest, parse_body, parse_request

FallbackPredictor = Popular | Prior


class Kind(Protocol):
    """One kind of service."""

    unmodelled: str
    """What an answer names as its version when no model made it."""
    called: str
    """What that is called among people."""
    takes_feedback: bool
    """Whether the caller tells what became of an answer."""

    def parse(self, body: bytes, champion: LoadedModel | None, *, replay: bool) -> tuple[Request, int]:
        """The request, of the form the champion takes, and how many products it wants; raises a `Refusal`."""

    def answer(self, loaded: LoadedModel, request: Any, k: int, seed: int) -> ModelOutput:
        """A model's answer; what is drawn, is drawn from `seed`."""

    def without(self, last: Any, champion: LoadedModel | None, request: Any, k: int) -> ModelOutput:
        """The answer without a model."""

    def last_resort(self, champion: LoadedModel) -> FallbackPredictor:
        """What answers when no model can, taken from a model that could."""

    def load(self, path: Path) -> FallbackPredictor:
        """Read what was kept for a start without any model."""

    def line(self, asked: RequestContext, answered: RoutedResponse, seconds: float, served_by: str) -> dict[str, Any]:
        """The line of the prediction log."""

    def body(self, asked: RequestContext, answered: RoutedResponse) -> dict[str, Any]:
        """The JSON of the answer."""


class Lists:
    """Ranked products; without a model, what is popular."""

    unmodelled, called, takes_feedback = "popular", "popularity", True

    def __init__(self, config: ServiceConfig) -> None:
        self._config = config

    def parse(self, body: bytes, champion: LoadedModel | None, *, replay: bool) -> tuple[RecommendRequest, int]:
        """A request for recommendations."""
        request = parse_request(body, self._config.max_k, replay=replay)
        return request, request.k or self._config.k

    def answer(self, loaded: LoadedModel, request: RecommendRequest, k: int, seed: int) -> Answer:
        """The model's ranking, at times with one product drawn from the others."""
        explore = self._config.exploration
        return score(loaded, request, k, explore=explore, rng=np.random.default_rng(seed) if explore else None)

    def without(self, last: Popular, champion: LoadedModel | None, request: RecommendRequest, k: int) -> Answer:
        """What is popular, of the request's candidates when it names any."""
        return fallback.answer(last, champion.index if champion else None, request, k)

    def last_resort(self, champion: LoadedModel) -> Popular:
        """What is popular by the model's index."""
        return fallback.from_index(champion.retrieval)

    def load(self, path: Path) -> Popular:
        """What was popular."""
        return fallback.load(path)

    def line(self, asked: RequestContext, answered: RoutedResponse, seconds: float, served_by: str) -> dict[str, Any]:
        """The answer with the features it was made from."""
        return lines.prediction(asked, answered, seconds, served_by)

    def body(self, asked: RequestContext, answered: RoutedResponse) -> dict[str, Any]:
        """Products and scores."""
        answer = answered.answer
        assert isinstance(answer, Answer)  # noqa: S101  # this kind made it
        return {
            **_said(asked, answered),
            "customer": asked.request.customer,
            "customer_known": answer.customer_known,
            "products": answer.products,
            "scores": answer.scores,
            "unknown_products": answer.unknown_products,
            "degraded": answer.degraded,
        }


class Events:
    """The predicted label of an event; without a model, the mean of the labels it learned from."""

    unmodelled, called, takes_feedback = PRIOR, "prior", False

    def __init__(self, config: ServiceConfig) -> None:
        self._config = config
        self._says = "probability" if config.task == "binary" else "value"

    def parse(self, body: bytes, champion: LoadedModel | None, *, replay: bool) -> tuple[EventRequest, int]:
        """A request for a prediction."""
        return parse_body(events.request_form(champion, self._config), body, replay=replay), 1

    def answer(self, loaded: LoadedModel, request: EventRequest, k: int, seed: int) -> Prediction:
        """The model's prediction."""
        return events.predict(loaded, request)

    def without(self, last: Prior, champion: LoadedModel | None, request: EventRequest, k: int) -> Prediction:
        """The prior."""
        return Prediction(last.value, np.empty((1, 0), dtype=np.float32), customer_known=False, degraded=[])

    def last_resort(self, champion: LoadedModel) -> Prior:
        """The prior of what the model was trained on."""
        return Prior(champion.prior)

    def load(self, path: Path) -> Prior:
        """The prior that was kept."""
        return prior.load(path)

    def line(self, asked: RequestContext, answered: RoutedResponse, seconds: float, served_by: str) -> dict[str, Any]:
        """The prediction with the request and the features it was made from."""
        return lines.event(asked, answered, seconds, served_by, says=self._says)

    def body(self, asked: RequestContext, answered: RoutedResponse) -> dict[str, Any]:
        """Probability or value."""
        request, answer = asked.request, answered.answer
        assert isinstance(request, EventRequest)  # noqa: S101  # this kind parsed it
        assert isinstance(answer, Prediction)  # noqa: S101  # and made that
        return {
            **_said(asked, answered),
            "event": request.event,
            "known": answer.customer_known,
            "unknown": answer.unknown,
            self._says: answer.value,
            "degraded": answer.degraded,
        }


def kind_of(config: ServiceConfig) -> Kind:
    """The kind of service a configuration asks for."""
    return Lists(config) if config.task == "ranking" else Events(config)


def _said(asked: RequestContext, answered: RoutedResponse) -> dict[str, Any]:
    """What every answer begins with; not its arm: whoever knows that can report clicks for one arm only."""
    return {
        "prediction_id": asked.prediction_id,
        "model_version": answered.model_version,
    }
