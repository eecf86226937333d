"""One event to one prediction: check the request, read features, predict; for binary and regression models.

The request names the join keys of the model's features and the numbers that only the caller knows. The feature row is
what the training set would have held: the same feature code, the booster's column order, float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, create_model

from feature_repo.description import OnlineStoreError
from serving.schemas import Id, Moment, Strict

if TYPE_CHECKING:
    from serving.config import ServiceConfig
    from serving.loader import LoadedModel

FEATURES = "features"
"""Degraded: the online store could not be read, every feature of it was taken as missing."""
REQUEST = "request__"
UNNAMED = "unnamed"

Number = Annotated[float | None, Field(allow_inf_nan=False)]
Floats = NDArray[np.float32]


class EventRequest(Strict):
    """The body of a request: which event, its keys and numbers (fields of the model's own), and when."""

    event: Id | None = Field(default=None, description="the caller's name of the event, for the log")
    time: Moment = Field(default=None, description="when it was asked, in a replay; else now")

    key_names: ClassVar[tuple[str, ...]] = ()
    """Which of its fields are join keys."""

    @property
    def customer(self) -> str:
        """What keeps an event in its arm."""
        return self.event or UNNAMED

    def given(self, names: tuple[str, ...]) -> list[Any]:
        """The values of these fields."""
        return [getattr(self, f"{FIELD}{name}") for name in names]


FIELD = "field_"
"""Before the model's own fields, inside: they may be called anything."""


@cache
def request_model(keys: tuple[str, ...], request: tuple[str, ...]) -> type[EventRequest]:
    """The request of a model with these keys (texts) and numbers; each must be said, null where it is not known."""
    fields: dict[str, Any] = {f"{FIELD}{name}": (Id | None, Field(alias=name)) for name in keys}
    fields |= {f"{FIELD}{name}": (Number, Field(alias=name)) for name in request}
    made: type[EventRequest] = create_model("PredictRequest", __base__=EventRequest, **fields)
    made.key_names = keys
    return made


def request_of(config: ServiceConfig) -> type[EventRequest]:
    """The request of a model as its service is configured."""
    return request_model(config.keys, config.request)


@dataclass(frozen=True, slots=True)
class Prediction:
    """A predicted label and what it was made from: `features` [1, F] float32 as the booster saw it.

    `customer_known`: whether the online store knows anything of the keys. `ranked` and `unknown_products` are what the
    service counts of every answer.
    """

    value: float
    features: Floats
    customer_known: bool
    degraded: list[str]
    ranked: int = 1
    unknown_products: tuple[str, ...] = ()


def blank(keys: tuple[str, ...], request: tuple[str, ...]) -> EventRequest:
    """A request in which nothing is known."""
    return request_model(keys, request).model_validate(dict.fromkeys((*keys, *request)))


def predict(loaded: LoadedModel, request: EventRequest) -> Prediction:
    """Predict the label of one event; an unreadable online store degrades the answer instead of failing it."""
    matrix = np.full((1, len(loaded.features)), np.nan, dtype=np.float32)
    known, degraded = False, []
    for name, to in loaded.plan.request:
        said = request.given((name,))[0]
        matrix[0, to] = np.nan if said is None else said
    keys = {key: [request.given((key,))[0]] for key in request.key_names}
    try:
        values = loaded.reader.read_keys(keys, loaded.pointer.now)
    except OnlineStoreError:
        degraded.append(FEATURES)
    else:
        matrix[:, loaded.plan.reader_to] = values[:, loaded.plan.reader_from]
        known = bool(np.isfinite(values).any())
    predicted = loaded.booster.predict(matrix, num_threads=1)
    return Prediction(float(np.asarray(predicted)[0]), matrix, known, degraded)
