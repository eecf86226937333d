"""An explained answer: frozen, typed, the same in memory and as JSON."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Contribution(_Said):
    """How far a feature moved the raw score (SHAP value; log-odds of a binary model); `value` None: it was missing."""

    feature: str
    value: float | None
    moved: float


class Moved(_Said):
    """What moved a score.

    The raw score = `base` (what the model says of an average row) + the contributions + `rest` (all other features).
    """

    base: float | None = None
    contributions: tuple[Contribution, ...] = ()
    rest: float | None = None


class ShownProduct(Moved):
    """One product of a list; what the customer did with it is None as long as the day's outcomes were not published."""

    position: int
    product_id: str
    category_id: str | None
    score: float | None
    propensity: float | None
    sources: tuple[str, ...]
    clicked: bool | None = None
    carted: bool | None = None
    purchased: bool | None = None


class Origin(_Said):
    """Where the version that answered comes from, and why it served."""

    version: str
    run_id: str
    training_set: str
    trained_until: date | None
    data: dict[str, str]
    code: str
    spec: dict[str, Any]
    reason: str
    release: tuple[str, ...] = ()


class RawEvent(_Said):
    """A raw event of the customer, the day it arrived on, and the files that day was made from."""

    event_id: str
    event_ts: datetime
    event_type: str
    product_id: str
    session_id: str | None
    day: date
    files: tuple[str, ...]


class Explanation(_Said):
    """One answer of a service, and the model behind it.

    Times are UTC. `as_of`: nothing later was known. `origin` is None where no model was asked.
    """

    prediction_id: str
    time: datetime
    as_of: datetime | None
    arm: str
    degraded: tuple[str, ...]
    served_by: str
    latency_ms: float
    release_id: str | None
    origin: Origin | None
    notes: tuple[str, ...] = ()


class ListExplanation(Explanation):
    """Ranked products: the request, each with its reasons, and the customer's raw events."""

    customer_id: str
    customer_known: bool
    k: int
    session: tuple[tuple[str, ...], ...]
    candidates: tuple[str, ...] | None
    unknown_products: tuple[str, ...]
    ranked: int
    index: str | None
    products: tuple[ShownProduct, ...]
    events: tuple[RawEvent, ...]
    events_before: int


class EventExplanation(Explanation):
    """The predicted label of an event: the request, the value with its reasons, and what became of the event.

    `value` is a probability or a number; `label` is None as long as it is not known in the day's published table.
    """

    event: str | None
    known: bool
    keys: dict[str, str | None]
    request: dict[str, float | None]
    value: float
    moved: Moved
    label: float | None
