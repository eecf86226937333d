"""What the endpoint accepts and refuses: strict types, known fields only, bounded sizes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from ml_assets.config.keys import ASKED, LONGEST, canonical
from ml_assets.config.limits import FIRST_YEAR, LAST_YEAR

MAX_BODY = 128 * 1024
"""Largest request body in bytes."""
MAX_CANDIDATES = 500
MAX_SESSION = 100
MAX_EVENTS = 100
MAX_ID = LONGEST
REPORTED = 10
"""Problems an answer lists at most: a hostile body must not buy a large reply."""


def _id(said: object) -> str:
    """An identifier as the tables have it."""
    try:
        read = canonical(said)
    except ValueError as error:
        raise PydanticCustomError("no_id", "Input is no identifier: {asked}", {"asked": str(error)}) from None
    if read is None:
        raise PydanticCustomError("no_id", "Input is no identifier: {asked}", {"asked": ASKED})
    return read


Id = Annotated[str, BeforeValidator(_id)]
"""An identifier: read as ingestion reads it, or refused."""


def _moment(said: object, info: ValidationInfo) -> datetime | None:
    """A time as the caller says it, in UTC; only a replay may say one."""
    if said is None:
        return None
    if not (info.context or {}).get("replay"):
        raise PydanticCustomError(
            "no_replay", "A live request is made when it arrives; start the server with ML_ASSETS_REPLAY=true"
        )
    try:
        read = datetime.fromisoformat(said) if isinstance(said, str) else None
    except ValueError:
        read = None
    if read is None or not FIRST_YEAR <= read.year < LAST_YEAR:
        raise PydanticCustomError("no_time", "Input should be an ISO 8601 time, e.g. 2026-03-01T12:00:00Z")
    return read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC)


Moment = Annotated[datetime | None, BeforeValidator(_moment)]
"""When something happened: UTC, said by a replay in ISO 8601 (no zone: UTC), else None: now."""


class Strict(BaseModel):
    """A frozen model that converts nothing and refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class SessionEvent(Strict):
    """Something the customer did in the running session, oldest first in the request."""

    product: Id
    event_type: Literal["view", "cart", "purchase"]


class RecommendRequest(Strict):
    """The body of `POST /recommend`."""

    customer: Id = Field(description="who asks; an unknown customer is answered and marked")
    k: int | None = Field(default=None, ge=1, description="products wanted; the model's default when absent")
    session: list[SessionEvent] = Field(default=[], max_length=MAX_SESSION)
    candidates: list[Id] | None = Field(
        default=None, min_length=1, max_length=MAX_CANDIDATES, description="rank only these"
    )
    time: Moment = Field(default=None, description="when it was asked, in a replay; else now")

    @field_validator("k")
    @classmethod
    def _k_within_the_models_bound(cls, k: int | None, info: ValidationInfo) -> int | None:
        max_k = (info.context or {}).get("max_k")
        if k is not None and max_k is not None and k > max_k:
            raise PydanticCustomError("less_than_equal", "Input should be less than or equal to {le}", {"le": max_k})
        return k


class FeedbackEvent(Strict):
    """What a customer did with a product that was shown."""

    product: Id
    event_type: Literal["click", "cart", "purchase"]
    time: Moment = Field(default=None, description="when it happened, in a replay; else now")


class FeedbackRequest(Strict):
    """The body of `POST /feedback`."""

    prediction_id: str = Field(pattern=r"^[0-9a-f]{32}$", description="as the answer said it")
    feedback_token: str = Field(pattern=r"^[0-9a-f]{64}$", description="as the answer said it")
    events: list[FeedbackEvent] = Field(min_length=1, max_length=MAX_EVENTS)


Body = TypeVar("Body", bound=Strict)


@dataclass(frozen=True, slots=True)
class Refusal(Exception):  # noqa: N818 - an answer, not a fault
    """A request that is not served, and why: becomes a 4xx answer that names the fields."""

    status: int
    error: str
    fields: tuple[tuple[str, str], ...] = ()

    def body(self) -> dict[str, Any]:
        """The JSON of the answer."""
        named = [{"field": field, "problem": problem} for field, problem in self.fields]
        return {"error": self.error, "fields": named} if named else {"error": self.error}


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with its HTTP status, and what is to be done once it was sent."""

    status: int
    body: dict[str, Any]
    afterwards: Callable[[], None] | None = None

    def json(self) -> bytes:
        """The body as it is sent."""
        return orjson.dumps(self.body, option=orjson.OPT_SERIALIZE_NUMPY)


def parse_request(body: bytes, max_k: int, *, replay: bool = False) -> RecommendRequest:
    """Read and check a request for recommendations; `replay` says whether it may carry a time.

    Raises:
        Refusal: 413 when the body is too large, 400 when it is no JSON, 422 naming each field that is wrong.
    """
    return _parse(RecommendRequest, body, {"max_k": max_k, "replay": replay})


def parse_body(model: type[Body], body: bytes, *, replay: bool = False) -> Body:
    """Read and check a body of any model; `replay` says whether it may carry a time.

    Raises:
        Refusal: as `parse_request`.
    """
    return _parse(model, body, {"replay": replay})


def parse_feedback(body: bytes, *, replay: bool = False) -> FeedbackRequest:
    """Read and check what customers did; `replay` says whether events may carry a time.

    Raises:
        Refusal: as `parse_request`.
    """
    return _parse(FeedbackRequest, body, {"replay": replay})


def _parse(model: type[Body], body: bytes, context: dict[str, Any]) -> Body:
    if len(body) > MAX_BODY:
        raise Refusal(413, f"the body is larger than {MAX_BODY} bytes")
    try:
        read = model.model_validate_json(body, context=context)
        json.loads(body, object_pairs_hook=_once)
        return read
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
    if problems[0]["type"] == "json_invalid":
        raise Refusal(400, "the body is not valid JSON", (("body", problems[0]["msg"]),))
    fields = tuple((_field(problem["loc"]), problem["msg"]) for problem in problems[:REPORTED])
    raise Refusal(422, "the request is not valid", fields)


def _once(pairs: list[tuple[str, Any]]) -> None:
    """Refuse an object that says a field twice: nobody knows which value is meant."""
    if len({name for name, _ in pairs}) < len(pairs):
        twice = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
        fields = tuple((name[:MAX_ID], "Field is given more than once") for name in twice[:REPORTED])
        raise Refusal(422, "the request is not valid", fields)


def _field(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part)[:MAX_ID] for part in location) or "body"
