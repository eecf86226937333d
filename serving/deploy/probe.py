"""Ask what a shop would ask, and time the answers as a client sees them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import httpx
import numpy as np

from ml_assets.registry.release import STALE, Stage
from serving.model.exchange import POPULAR
from serving.model.router import MODEL

NOBODY = "nobody-has-this-customer-id"

Body = dict[str, Any]


@dataclass(frozen=True)
class Questions:
    """Requests that a version must answer; `wrong(request, answer)` says what is wrong with an answer, or None."""

    bodies: tuple[Body, ...]
    version: str
    wrong: Callable[[Body, Body], str | None]


@dataclass(frozen=True)
class Probe:
    """What was asked and answered; latencies in milliseconds over loopback, one request at a time."""

    requests: int
    failures: tuple[str, ...]
    p50_ms: float
    p95_ms: float
    p99_ms: float
    example: dict[str, Any]

    @property
    def ok(self) -> bool:
        """Whether every answer was right."""
        return not self.failures

    @property
    def text(self) -> str:
        """One line for people."""
        if self.failures:
            return f"{len(self.failures)} of {self.requests} answers were wrong, first: {self.failures[0]}"
        return f"{self.requests} requests answered, p50 {self.p50_ms:.1f} ms, p99 {self.p99_ms:.1f} ms"


def about_customers(customers: Sequence[str], version: str, k: int = 10) -> Questions:
    """Recommendations for known customers and for one whom nobody knows.

    Args:
        customers: known customers.
        version: the model version that must answer.
        k: products to ask for.
    """
    bodies = tuple({"customer": customer, "k": k} for customer in (*customers, NOBODY))
    return Questions(bodies, version, lambda body, said: _wrong_list(said, body["customer"], k))


def about_events(asked: Sequence[Body], version: str, *, says: str) -> Questions:
    """Predictions of events and of one of which nothing is known.

    Args:
        asked: requests; at least one.
        version: the model version that must answer.
        says: `probability` or `value`.
    """
    bodies = (*asked, dict.fromkeys(asked[0]))
    return Questions(bodies, version, lambda body, said: _wrong_prediction(said, says))


def probe(
    url: str, route: str, questions: Questions, *, repeat: int = 1, headers: Mapping[str, str] | None = None
) -> Probe:
    """Ask the server at `url` and check what comes back.

    An answer does not say its arm: the holdback is shown what is popular, and `/readyz` says which version a canary is.

    Args:
        url: address of the server.
        route: path of the endpoint.
        questions: what to ask.
        repeat: rounds over all questions but the last, which is asked once.
        headers: sent along: `Settings.key_header`.
    """
    *known, last = questions.bodies
    with httpx.Client(base_url=url, headers=headers, timeout=10, trust_env=False) as client:

        def ask(body: Body) -> tuple[int, Any]:
            response = client.post(route, json=body)
            return response.status_code, response.json() if response.status_code == 200 else response.text

        def others() -> set[str]:
            release = client.get("/readyz").json().get("release") or {}
            return {POPULAR, *([release["model_version"]] if release.get("stage") == Stage.CANARY else [])}

        return probe_by(ask, replace(questions, bodies=(*known * repeat, last)), others)


def probe_by(
    ask: Callable[[Body], tuple[int, Any]], questions: Questions, others: Callable[[], set[str]] = set
) -> Probe:
    """Ask whoever answers with an HTTP status and a body; `others` are versions that may answer as well."""
    failures: list[str] = []
    took: list[float] = []
    example: dict[str, Any] = {}
    for body in questions.bodies:
        began = time.perf_counter()
        status, said = ask(body)
        took.append((time.perf_counter() - began) * 1000)
        if status == 200:
            wrong = questions.wrong(body, said) or _of_another(said["model_version"], questions.version, others)
        else:
            wrong = f"status {status}: {str(said)[:200]}"
        if wrong:
            failures.append(f"{body}: {wrong}")
        example = example or ({} if wrong else said)
    p50, p95, p99 = np.percentile(took, [50, 95, 99])
    return Probe(len(took), tuple(failures), float(p50), float(p95), float(p99), example)


def _of_another(answered: str, version: str, others: Callable[[], set[str]]) -> str | None:
    """What is wrong with the version of an answer, or None."""
    if answered == version or answered in others():
        return None
    return f"answered by version {answered} instead of {version}"


def _wrong_prediction(said: Body, says: str) -> str | None:
    """What is wrong with a prediction, or None."""
    degraded = [part for part in said["degraded"] if part != STALE]  # true of old data, and no fault of the server
    if degraded:
        return f"degraded: {', '.join(degraded)}"
    if says == "probability" and not 0 <= said[says] <= 1:
        return f"{says} is {said[says]}"
    return None


def _wrong_list(said: Body, customer: str, k: int) -> str | None:
    """What is wrong with a ranked list, or None."""
    products = said["products"]
    if MODEL in said["degraded"]:
        return f"no model answered, degraded: {', '.join(said['degraded'])}"
    if not products or len(products) > k or len(set(products)) != len(products):
        return f"{len(products)} products, {len(set(products))} of them distinct, asked for {k}"
    if said["customer_known"] == (customer == NOBODY):
        return f"customer_known is {said['customer_known']}"
    return None
