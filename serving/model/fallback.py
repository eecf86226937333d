"""Popularity: the answer when no model has one, and what the holdback is shown."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ml_assets.config.settings import Settings
from ml_assets.retrieval.index import RetrievalIndex
from ml_assets.storage.files import write_text_atomically
from serving.model.scorer import CANDIDATES, Answer
from serving.schemas import RecommendRequest

SOURCE = "popular"
LIMIT = 1000
"""Products kept: the largest k a model may allow."""
MAX_BYTES = 4_000_000
"""Largest file that is read."""


class PopularError(ValueError):
    """The file is not what was saved; the text says how."""


@dataclass(frozen=True, slots=True)
class Popular:
    """Products anybody may be shown, best first, with their categories and scores."""

    products: tuple[str, ...]
    categories: tuple[str, ...]
    scores: tuple[float, ...]

    def answer(self, k: int, exclude: Collection[str] = ()) -> Answer:
        """The best k that are not excluded: features [shown, 0], every propensity 1."""
        left_out = frozenset(exclude)
        allowed = (at for at, product in enumerate(self.products) if product not in left_out)
        shown = list(islice(allowed, k))
        return Answer(
            products=[self.products[at] for at in shown],
            categories=[self.categories[at] for at in shown],
            scores=np.array([self.scores[at] for at in shown], dtype=np.float32),
            propensities=[1.0] * len(shown),
            features=np.empty((len(shown), 0), dtype=np.float32),
            sources=[[SOURCE] for _ in shown],
            ranked=len(self.products),
            customer_known=False,
            unknown_products=[],
            degraded=[],
        )


def answer(popular: Popular, index: RetrievalIndex | None, request: RecommendRequest, k: int) -> Answer:
    """What is popular, of the request's candidates when it names any; the index says who and what is known."""
    known = index.product_positions if index else set(popular.products)
    named = dict.fromkeys([event.product for event in request.session] + list(request.candidates or ()))
    if request.candidates is not None:
        popular = _among(popular, [product for product in request.candidates if product in known])
    made = popular.answer(k)
    return replace(
        made,
        customer_known=index is not None and request.customer in index.customer_positions,
        unknown_products=[product for product in named if product not in known],
        degraded=[] if made.products else [CANDIDATES],
    )


def _among(popular: Popular, wanted: Sequence[str]) -> Popular:
    """The products wanted, by popularity; those nobody wanted lately come last, as they were named."""
    at = {product: position for position, product in enumerate(popular.products)}
    best = sorted(dict.fromkeys(wanted), key=lambda product: at.get(product, len(at)))
    return Popular(
        products=tuple(best),
        categories=tuple(popular.categories[at[product]] if product in at else "" for product in best),
        scores=tuple(popular.scores[at[product]] if product in at else 0.0 for product in best),
    )


def from_index(index: RetrievalIndex, limit: int = LIMIT) -> Popular:
    """The most popular products that can be sold; equally popular ones by their id."""
    best = np.lexsort((np.arange(len(index.products)), -index.popular, ~index.available))
    best = best[: min(limit, int(index.available.sum()))]
    return Popular(
        products=tuple(index.products[at] for at in best),
        categories=tuple(index.categories[at] for at in best),
        scores=tuple(index.popular[best].tolist()),
    )


def popular_path(settings: Settings, model: str) -> Path:
    """Where what is popular lies for a start without index and model."""
    return settings.model_home(model) / "serving" / "popular.json"


Text = Annotated[str, Field(max_length=256)]


class _Saved(BaseModel):
    """The file: one row per product, and the SHA-256 of the rows."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    sha256: str
    products: list[tuple[Text, Text, float]] = Field(max_length=LIMIT)

    @model_validator(mode="after")
    def _as_saved(self) -> _Saved:
        if self.sha256 != _digest(self.products):
            raise ValueError("its products are not those it was saved with")
        if len({product for product, _, _ in self.products}) < len(self.products):
            raise ValueError("a product is in it twice")
        return self


def save(popular: Popular, path: Path) -> None:
    """Replace the file at `path` in one step; equal popularity gives equal bytes."""
    rows = list(zip(popular.products, popular.categories, popular.scores, strict=True))
    write_text_atomically(path, _Saved(sha256=_digest(rows), products=rows).model_dump_json(indent=1) + "\n")


def load(path: Path) -> Popular:
    """Read what `save` wrote.

    Raises:
        FileNotFoundError: when there is no such file.
        PopularError: when it is too large, or not what was saved.
    """
    with path.open("rb") as opened:
        content = opened.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise PopularError(f"{path} is larger than {MAX_BYTES} bytes: deploy again")
    try:
        rows = _Saved.model_validate_json(content).products
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]["msg"]
        raise PopularError(f"{path} is not what was saved ({problem}): deploy again") from error
    columns = zip(*rows, strict=True) if rows else ((), (), ())
    products, categories, scores = (tuple(column) for column in columns)
    return Popular(products, categories, scores)


def _digest(rows: list[tuple[str, str, float]]) -> str:
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
