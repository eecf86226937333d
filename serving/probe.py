"""Ask the running server what a shop would ask it, and time the answers as a client sees them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np

from ml_assets.registry.release import Arm

NOBODY = "nobody-has-this-customer-id"


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


def probe(url: str, route: str, version: str, customers: Sequence[str], *, k: int = 10, repeat: int = 1) -> Probe:
    """Ask for recommendations for each customer and for an unknown one, and check what comes back.

    Args:
        url: address of the server.
        route: path of the endpoint.
        version: the model version that must answer those who are in no canary and no holdback.
        customers: known customers.
        k: products to ask for.
        repeat: rounds over all customers.
    """
    failures: list[str] = []
    took: list[float] = []
    example: dict[str, Any] = {}
    with httpx.Client(base_url=url, timeout=10, trust_env=False) as client:
        for customer in [*list(customers) * repeat, NOBODY]:
            began = time.perf_counter()
            response = client.post(route, json={"customer": customer, "k": k})
            took.append((time.perf_counter() - began) * 1000)
            wrong = _wrong(response, customer, version, k)
            if wrong:
                failures.append(f"customer {customer}: {wrong}")
            elif customer != NOBODY:
                example = example or response.json()
    p50, p95, p99 = np.percentile(took, [50, 95, 99])
    return Probe(len(took), tuple(failures), float(p50), float(p95), float(p99), example)


def probe_events(url: str, route: str, version: str, asked: Sequence[dict[str, Any]], *, says: str) -> Probe:
    """Ask for the prediction of each event, and of one of which nothing is known, and check what comes back.

    Args:
        url: address of the server.
        route: path of the endpoint.
        version: the model version that must answer.
        asked: requests; at least one.
        says: `probability` or `value`.
    """
    failures: list[str] = []
    took: list[float] = []
    example: dict[str, Any] = {}
    with httpx.Client(base_url=url, timeout=10, trust_env=False) as client:
        for body in [*asked, dict.fromkeys(asked[0])]:
            began = time.perf_counter()
            response = client.post(route, json=body)
            took.append((time.perf_counter() - began) * 1000)
            wrong = _wrong_prediction(response, version, says)
            if wrong:
                failures.append(f"{body}: {wrong}")
            example = example or (response.json() if not wrong else {})
    p50, p95, p99 = np.percentile(took, [50, 95, 99])
    return Probe(len(took), tuple(failures), float(p50), float(p95), float(p99), example)


def _wrong_prediction(response: httpx.Response, version: str, says: str) -> str | None:
    """What is wrong with a prediction, or None."""
    if response.status_code != 200:
        return f"status {response.status_code}: {response.text[:200]}"
    said = response.json()
    if said["model_version"] != version:
        return f"answered by version {said['model_version']} instead of {version}"
    if said["degraded"]:
        return f"degraded: {', '.join(said['degraded'])}"
    if says == "probability" and not 0 <= said[says] <= 1:
        return f"{says} is {said[says]}"
    return None


def _wrong(response: httpx.Response, customer: str, version: str, k: int) -> str | None:
    """What is wrong with an answer, or None."""
    if response.status_code != 200:
        return f"status {response.status_code}: {response.text[:200]}"
    said = response.json()
    products = said["products"]
    if said["arm"] == Arm.FALLBACK:
        return f"no model answered, degraded: {', '.join(said['degraded'])}"
    if said["arm"] == Arm.CHAMPION and said["model_version"] != version:
        return f"answered by version {said['model_version']} instead of {version}"
    if not products or len(products) > k or len(set(products)) != len(products):
        return f"{len(products)} products, {len(set(products))} of them distinct, asked for {k}"
    if said["customer_known"] == (customer == NOBODY):
        return f"customer_known is {said['customer_known']}"
    return None
