"""What the endpoint accepts and refuses: strict types, known fields only, bounded sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

MAX_BODY = 128 * 1024
"""Largest request body in bytes."""
MAX_CANDIDATES = 500
MAX_SESSION = 100
MAX_ID = 64
REPORTED = 10
"""Problems an answer lists at most: a hostile body must not buy a large reply."""

Id = Annotated[str, Field(min_length=1, max_length=MAX_ID, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""An identifier as the shop writes it: no control characters, at most `MAX_ID` characters."""


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

    @field_validator("k")
    @classmethod
    def _k_within_the_models_bound(cls, k: int | None, info: ValidationInfo) -> int | None:
        max_k = (info.context or {}).get("max_k")
        if k is not None and max_k is not None and k > max_k:
            raise PydanticCustomError("less_than_equal", "Input should be less than or equal to {le}", {"le": max_k})
        return k


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


def parse_request(body: bytes, max_k: int) -> RecommendRequest:
    """Read and check a request.

    Raises:
        Refusal: 413 when the body is too large, 400 when it is no JSON, 422 naming each field that is wrong.
    """
    if len(body) > MAX_BODY:
        raise Refusal(413, f"the body is larger than {MAX_BODY} bytes")
    try:
        return RecommendRequest.model_validate_json(body, context={"max_k": max_k})
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
    if problems[0]["type"] == "json_invalid":
        raise Refusal(400, "the body is not valid JSON", (("body", problems[0]["msg"]),))
    fields = tuple((_field(problem["loc"]), problem["msg"]) for problem in problems[:REPORTED])
    raise Refusal(422, "the request is not valid", fields)


def _field(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part)[:MAX_ID] for part in location) or "body"
