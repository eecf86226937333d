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
from pydantic import AfterValidator, BeforeValidator, Field, create_model
from pydantic_core import PydanticCustomError

from feature_repo.known import known_by_key, unknown_keys
from feature_repo.stores.description import OnlineStoreError
from ml_assets.config.keys import TEXT, KeyForm, canonical
from ml_assets.config.numbers import ANY, MOST, Bounds
from serving.schemas import Id, Moment, Strict

if TYPE_CHECKING:
    from serving.config import ServiceConfig
    from serving.model.loaded import LoadedModel

FEATURES = "features"
"""Degraded: the online store could not be read, or lacks features of the version: they were taken as missing."""
REQUEST = "request__"
UNNAMED = "unnamed"

Number = Annotated[float | None, Field(allow_inf_nan=False, ge=-MOST, le=MOST)]
"""A number as the booster takes it: float32."""
Floats = NDArray[np.float32]


class EventRequest(Strict):
    """The body of a request: which event, its keys and numbers (fields of the model's own), and when."""

    event: Id | None = Field(default=None, description="the caller's name of the event, for the log")
    time: Moment = Field(default=None, description="when it was asked, in a replay; else now")

    key_names: ClassVar[tuple[str, ...]] = ()
    """Which of its fields are join keys."""
    number_names: ClassVar[tuple[str, ...]] = ()
    """Which of its fields are numbers that only the caller knows."""

    @property
    def customer(self) -> str:
        """What keeps an event in its arm."""
        return self.event or UNNAMED

    def given(self, names: tuple[str, ...]) -> dict[str, Any]:
        """The values of these fields by name; None where the request has no such field."""
        return {name: getattr(self, f"{FIELD}{name}", None) for name in names}


FIELD = "field_"
"""Before the model's own fields, inside: they may be called anything."""


def _key(form: KeyForm) -> Any:
    """The type of a field that is a join key: read into its one form, or refused."""

    def read(said: object) -> str | None:
        try:
            return canonical(said, form)
        except ValueError as error:
            raise PydanticCustomError("no_key", "Input is no key: {asked}", {"asked": str(error)}) from None

    return Annotated[str | None, BeforeValidator(read)]


def _number(bounds: Bounds) -> Any:
    """The type of a field that is a number: what the source's contract would set aside is refused."""

    def check(said: float | None) -> float | None:
        if said is not None and not bounds.holds(said):
            raise PydanticCustomError("no_such_number", "Input should be {asked}", {"asked": bounds.asked})
        return said

    return Number if bounds == ANY else Annotated[Number, AfterValidator(check)]


@cache
def request_model(
    keys: tuple[str, ...],
    request: tuple[str, ...],
    forms: tuple[tuple[str, KeyForm], ...] = (),
    bounds: tuple[tuple[str, Bounds], ...] = (),
) -> type[EventRequest]:
    """The request of a model with these keys and numbers; each must be said, null where it is not known.

    A key has the form that training has it in: `forms` says which, else it is a text. A number is within its `bounds`.
    """
    written, limits = dict(forms), dict(bounds)
    fields: dict[str, Any] = {f"{FIELD}{key}": (_key(written.get(key, TEXT)), Field(alias=key)) for key in keys}
    fields |= {f"{FIELD}{name}": (_number(limits.get(name, ANY)), Field(alias=name)) for name in request}
    made: type[EventRequest] = create_model("PredictRequest", __base__=EventRequest, **fields)
    made.key_names, made.number_names = keys, request
    return made


def request_form(champion: LoadedModel | None, config: ServiceConfig) -> type[EventRequest]:
    """The request that callers send: that of the version that serves, whatever the YAML has become since.

    Without a version that serves, it is that of the version the service was built with.
    """
    if champion is None:
        return request_model(config.keys, config.request, tuple(config.forms.items()), tuple(config.bounds.items()))
    forms = champion.forms or config.forms
    return request_model(champion.keys, champion.request, tuple(forms.items()), tuple(champion.bounds.items()))


@dataclass(frozen=True, slots=True)
class Prediction:
    """A predicted label and what it was made from: `features` [1, F] float32 as the booster saw it.

    `customer_known`: whether the online store knows anything of the keys. `unknown`: the keys that it knows nothing of;
    None where it was not asked or could not be read. `ranked` and `unknown_products` are what the service counts of
    every answer.
    """

    value: float
    features: Floats
    customer_known: bool
    degraded: list[str]
    unknown: list[str] | None = None
    ranked: int = 1
    unknown_products: tuple[str, ...] = ()


def blank(keys: tuple[str, ...], request: tuple[str, ...]) -> EventRequest:
    """A request in which nothing is known."""
    return request_model(keys, request).model_validate(dict.fromkeys((*keys, *request)))


def predict(loaded: LoadedModel, request: EventRequest) -> Prediction:
    """Predict the label of one event; an unreadable online store degrades the answer instead of failing it."""
    matrix = np.full((1, len(loaded.features)), np.nan, dtype=np.float32)
    known, unknown, degraded = False, None, []
    numbers = request.given(loaded.request)
    for name, to in loaded.plan.request:
        matrix[0, to] = np.nan if numbers[name] is None else numbers[name]
    keys = {key: [value] for key, value in request.given(loaded.keys).items()}
    try:
        values = loaded.reader.read_keys(keys, loaded.pointer.now)
    except OnlineStoreError:
        degraded.append(FEATURES)
    else:
        matrix[:, loaded.plan.reader_to] = values[:, loaded.plan.reader_from]
        there, by_key = np.isfinite(values), loaded.reader.by_key
        known, unknown = bool(there.any()), unknown_keys(known_by_key(there, by_key)[0], by_key)
        degraded += [FEATURES] if loaded.reader.lacking else []
    predicted = loaded.booster.predict(matrix, num_threads=1)
    return Prediction(float(np.asarray(predicted)[0]), matrix, known, degraded, unknown)
