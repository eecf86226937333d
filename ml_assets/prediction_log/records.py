"""One line of the log as a checked record, or the reason why it is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

Floats = NDArray[np.float32]
FeatureNames = Callable[[str], tuple[str, ...]]
"""From a `features_id` to the names; raises LineError when they are not known."""

RESERVED = {
    "segment", "line", "prediction_id", "time", "model_version", "arm", "customer_id", "position", "product_id",
    "category_id", "score", "propensity", "sources", "clicked", "carted", "purchased", "event", "keys", "label",
}  # fmt: skip
"""Columns that a shown product or a predicted event has: no feature may be called so."""

LARGEST = 2**31 - 1
SHORT = 300
"""Characters of a reason that are kept."""


class LineError(ValueError):
    """A line that cannot become rows; the message says why and repeats no value: it outlives an erasure of the line."""


def _utc(said: object) -> object:
    """ISO 8601 to a time without a zone, in UTC."""
    if not isinstance(said, str):
        return said
    try:
        read = datetime.fromisoformat(said)
        return read.astimezone(UTC).replace(tzinfo=None) if read.tzinfo else read
    except (ValueError, OverflowError):
        raise ValueError("no time of ISO 8601") from None


Time = Annotated[datetime, BeforeValidator(_utc)]
Count = Annotated[int, Field(ge=0, le=LARGEST)]


class _Record(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, protected_namespaces=())


class Answer(_Record):
    """What every answer says, whatever it is of."""

    prediction_id: str
    time: Time
    logged_at: Time
    as_of: Time | None
    model_version: str | None
    arm: str
    release_id: str | None
    features_id: str | None
    degraded: list[str]
    served_by: str
    latency_ms: float

    @property
    def rows(self) -> int:
        """How many things it scored, rows of its features: one, unless it is a list."""
        return 1


class Prediction(Answer):
    """A list. `products`, `categories`, `positions`, `scores`, `propensities`, `sources`: one entry per product."""

    index: str | None
    customer: str
    customer_known: bool
    k: Count
    session: list[Any]
    candidates: list[str] | None
    ranked: Count
    products: list[str]
    categories: list[str | None]
    positions: list[Count]
    scores: list[float | None]
    propensities: list[float | None]
    sources: list[list[str]]
    unknown_products: list[str]

    @property
    def rows(self) -> int:
        """Its products."""
        return len(self.products)

    @model_validator(mode="after")
    def _one_entry_per_product(self) -> Prediction:
        count = len(self.products)
        if not (
            count == len(self.categories) == len(self.positions) == len(self.scores)
            and count == len(self.propensities) == len(self.sources)
        ):
            names = ("categories", "positions", "scores", "propensities", "sources")
            counts = ", ".join(f"{len(getattr(self, name))} {name}" for name in names)
            raise ValueError(f"{count} products, but {counts}")
        return self


class EventPrediction(Answer):
    """The predicted label of an event: `keys` and `request` are what was asked, `value` the probability or number."""

    event: str | None
    keys: dict[str, str | None]
    request: dict[str, float | None]
    known: bool
    value: float = Field(validation_alias=AliasChoices("probability", "value"), allow_inf_nan=False)

    @property
    def scores(self) -> list[float]:
        """The value, as a list has scores."""
        return [self.value]


class Outcome(_Record):
    """What a customer did with a shown product."""

    prediction_id: str
    product: str
    event_type: str
    time: Time


class Refusal(_Record):
    """A request that was not answered with 200."""

    time: Time
    status: Count
    latency_ms: float
    error: str


@dataclass(frozen=True, slots=True)
class Line:
    """A checked record and where its line starts; `features` is [rows, names] of an answer by a model."""

    at: int
    record: Prediction | EventPrediction | Outcome | Refusal
    features: Floats | None = None


KINDS: Mapping[str, Callable[[Mapping[str, Any]], type[Prediction | EventPrediction | Outcome | Refusal]]] = {
    "prediction": lambda said: EventPrediction if "keys" in said else Prediction,
    "outcome": lambda said: Outcome,
    "refusal": lambda said: Refusal,
}


def parse(at: int, raw: bytes, names: FeatureNames) -> Line:
    """Check one complete line that starts at byte `at` of its segment.

    Raises:
        LineError: when it is no JSON, of an unknown kind, lacks keys or has wrong ones, or its features are unknown.
        OSError: when the names of its features cannot be read: it may be a good line.
    """
    try:
        said = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise LineError(f"no JSON: {error}"[:SHORT]) from error
    if not isinstance(said, dict):
        raise LineError("no JSON object")
    kind = said.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise LineError(f"unknown kind: none of {', '.join(KINDS)}")
    matrix = said.pop("features", None) if kind == "prediction" else None
    try:
        record = KINDS[kind](said).model_validate(said)
    except ValidationError as error:
        raise LineError(_problems(error)) from error
    return Line(at, record, _features(record, matrix, names) if isinstance(record, Answer) else None)


def _features(record: Answer, matrix: object, names: FeatureNames) -> Floats | None:
    if record.features_id is None:
        if matrix:
            raise LineError("features without features_id")
        return None
    shape = (record.rows, len(names(record.features_id)))
    try:
        # null is a missing value; an answer without products logs [], whatever its columns
        found = np.array(matrix, dtype=np.float32) if record.rows else np.empty(shape, dtype=np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise LineError("features: no rows of numbers") from error
    if found.shape != shape:
        raise LineError(f"features: {found.shape}, but {shape[0]} rows and {shape[1]} names")
    return found


def _problems(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, each['loc'])) or 'line'}: {each['msg']}" for each in found[:5])[:SHORT]


def feature_names(folder: Path) -> FeatureNames:
    """Look names up beside the segments, each file read once."""
    known: dict[str, tuple[str, ...]] = {}

    def names(features_id: str) -> tuple[str, ...]:
        if features_id not in known:
            known[features_id] = _read_names(folder, features_id)
        return known[features_id]

    return names


def _read_names(folder: Path, features_id: str) -> tuple[str, ...]:
    if not features_id.isalnum():
        raise LineError("unknown features_id: letters and digits are asked")
    try:
        names = orjson.loads((folder / f"features-{features_id}.json").read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError) as error:
        raise LineError("unknown features_id: no features-<id>.json beside the segment can be read") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise LineError("unknown features_id: features-<id>.json beside the segment is no list of names")
    folded = {name.lower() for name in names}  # SQL does not tell upper from lower case
    if len(folded) != len(names) or folded & RESERVED:
        raise LineError("unusable features_id: a name in its file is there twice, or is a column of every answer")
    return tuple(names)
