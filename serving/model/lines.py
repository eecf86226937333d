"""The lines of the prediction log: what is kept of an answer, of what customers did, and of a refusal."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from serving.model.events import EventRequest, Prediction
from serving.model.exchange import RequestContext, RoutedResponse
from serving.model.scorer import Answer
from serving.schemas import FeedbackRequest, RecommendRequest, Refusal

SHORT = 200
"""Characters of an error that are kept."""


def prediction(asked: RequestContext, answered: RoutedResponse, seconds: float, served_by: str) -> dict[str, Any]:
    """An answer with the features it was made from; those of popularity have none."""
    request, answer, pointer = asked.request, answered.answer, answered.pointer
    assert isinstance(request, RecommendRequest)  # noqa: S101  # rankings only
    assert isinstance(answer, Answer)  # noqa: S101  # made of them
    return {
        **_head(asked, answered),
        "index": pointer.index if pointer else None,
        "arm": answered.arm.value,
        "release_id": answered.release_id,
        "customer": request.customer,
        "customer_known": answer.customer_known,
        "k": asked.k,
        "session": [[event.product, event.event_type] for event in request.session],
        "candidates": request.candidates,
        "ranked": answer.ranked,
        "products": answer.products,
        "categories": answer.categories,
        "positions": list(range(1, len(answer.products) + 1)),
        "scores": answer.scores,
        "propensities": answer.propensities,
        "sources": answer.sources,
        **_features(answered),
        "unknown_products": answer.unknown_products,
        **_tail(answered, seconds, served_by),
    }


def event(
    asked: RequestContext, answered: RoutedResponse, seconds: float, served_by: str, *, says: str
) -> dict[str, Any]:
    """A predicted label, called `says`, with the request and the features it was made from; the prior has none."""
    request, answer = asked.request, answered.answer
    assert isinstance(request, EventRequest)  # noqa: S101  # binary and regression only
    assert isinstance(answer, Prediction)  # noqa: S101  # made of them
    return {
        **_head(asked, answered),
        "arm": answered.arm.value,
        "release_id": answered.release_id,
        "event": request.event,
        "keys": request.given(request.key_names),
        "request": request.given(request.number_names),
        "known": answer.customer_known,
        says: answer.value,
        **_features(answered),
        **_tail(answered, seconds, served_by),
    }


def _head(asked: RequestContext, answered: RoutedResponse) -> dict[str, Any]:
    pointer = answered.pointer
    return {
        "kind": "prediction",
        "prediction_id": asked.prediction_id,
        "time": asked.at.isoformat(),
        "logged_at": datetime.now(UTC).isoformat(),
        "as_of": pointer.as_of.isoformat() if pointer else None,
        "model_version": answered.model_version,
    }


def _features(answered: RoutedResponse) -> dict[str, Any]:
    return {
        "feature_names": answered.features,
        "features": answered.answer.features if answered.features else [],
    }


def _tail(answered: RoutedResponse, seconds: float, served_by: str) -> dict[str, Any]:
    return {
        "degraded": answered.answer.degraded,
        "served_by": served_by,
        "latency_ms": round(seconds * 1e3, 3),
    }


def outcomes(given: FeedbackRequest) -> list[dict[str, Any]]:
    """What a customer did with the products of one answer, a line each."""
    now = datetime.now(UTC)
    return [
        {
            "kind": "outcome",
            "prediction_id": given.prediction_id,
            "product": event.product,
            "event_type": event.event_type,
            "time": (event.time or now).isoformat(),
            "logged_at": now.isoformat(),
        }
        for event in given.events
    ]


def refusal(refused: Refusal, began: float, at: datetime | None = None) -> dict[str, Any]:
    """An answer that was none: its status and why, with the names of wrong fields but nothing else of the caller's.

    Args:
        refused: what was answered.
        began: `time.perf_counter()` when the request came in.
        at: when the caller says it was made; None: now.
    """
    names = ", ".join(field for field, _ in refused.fields)
    return {
        "kind": "refusal",
        "time": (at or datetime.now(UTC)).isoformat(),
        "status": refused.status,
        "latency_ms": round((time.perf_counter() - began) * 1e3, 3),
        "error": (f"{refused.error}: {names}" if names else refused.error)[:SHORT],
    }
