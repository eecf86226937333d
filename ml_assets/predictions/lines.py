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
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

Floats = NDArray[np.float32]
FeatureNames = Callable[[str], tuple[str, ...]]
"""From a `features_id` to the names; raises LineError when they are not known."""

RESERVED = {
    "segment", "line", "prediction_id", "time", "model_version", "arm", "customer_id", "position", "product_id",
    "category_id", "score", "propensity", "sources", "clicked", "carted", "purchased",
}  # fmt: skip
"""Columns that every shown product has: no feature may be called so."""

LARGEST = 2**31 - 1
SHORT = 300
"""Characters of a reason that are kept."""


class LineError(ValueError):
    """A line that cannot become rows; the message says why."""


def _utc(said: object) -> object:
    """ISO 8601 to a time without a zone, in UTC."""
    if not isinstance(said, str):
        return said
    try:
        read = datetime.fromisoformat(said)
        return read.astimezone(UTC).replace(tzinfo=None) if read.tzinfo else read
    except OverflowError as error:
        raise ValueError(str(error)) from error


Time = Annotated[datetime, BeforeValidator(_utc)]
Count = Annotated[int, Field(ge=0, le=LARGEST)]


class _Record(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, protected_namespaces=())


class Prediction(_Record):
    """An answer. `products`, `categories`, `positions`, `scores`, `propensities`, `sources`: one entry per product."""

    prediction_id: str
    time: Time
    logged_at: Time
    as_of: Time | None
    model_version: str | None
    index: str | None
    arm: str
    release_id: str | None
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
    features_id: str | None
    unknown_products: list[str]
    degraded: list[str]
    served_by: str
    latency_ms: float

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
    """A checked record and where its line starts; `features` is [products, names] of an answer by a model."""

    at: int
    record: Prediction | Outcome | Refusal
    features: Floats | None = None


KINDS: Mapping[str, type[Prediction] | type[Outcome] | type[Refusal]] = {
    "prediction": Prediction,
    "outcome": Outcome,
    "refusal": Refusal,
}


def parse(at: int, raw: bytes, names: FeatureNames) -> Line:
    """Check one complete line that starts at byte `at` of its segment.

    Raises:
        LineError: when it is no JSON, of an unknown kind, lacks keys or has wrong ones, or its features are unknown.
    """
    try:
        said = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise LineError(f"no JSON: {error}"[:SHORT]) from error
    if not isinstance(said, dict):
        raise LineError("no JSON object")
    kind = said.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise LineError(f"unknown kind: {kind!r}"[:SHORT])
    matrix = said.pop("features", None) if kind == "prediction" else None
    try:
        record = KINDS[kind].model_validate(said)
    except ValidationError as error:
        raise LineError(_problems(error)) from error
    return Line(at, record, _features(record, matrix, names) if isinstance(record, Prediction) else None)


def _features(record: Prediction, matrix: object, names: FeatureNames) -> Floats | None:
    if record.features_id is None:
        if matrix:
            raise LineError("features without features_id")
        return None
    shape = (len(record.products), len(names(record.features_id)))
    try:
        # null is a missing value; an answer without products logs [], whatever its columns
        found = np.array(matrix, dtype=np.float32) if record.products else np.empty(shape, dtype=np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise LineError(f"features: {error}"[:SHORT]) from error
    if found.shape != shape:
        raise LineError(f"features: {found.shape}, but {shape[0]} products and {shape[1]} names")
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
        raise LineError(f"unknown features_id: {features_id!r}"[:SHORT])
    try:
        names = orjson.loads((folder / f"features-{features_id}.json").read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise LineError(f"unknown features_id: {features_id}: {error}"[:SHORT]) from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise LineError(f"unknown features_id: {features_id}: the file is no list of names")
    folded = {name.lower() for name in names}  # SQL does not tell upper from lower case
    if len(folded) != len(names) or folded & RESERVED:
        raise LineError(f"unusable features_id: {features_id}: a name is there twice, or is a column of every answer")
    return tuple(names)
