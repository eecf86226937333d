"""The service asked by the suite: strange requests get an answer or a reason, ordinary ones one in time."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_assets.config.model_spec import ModelSpec, Task
from ml_assets.conformance.context import Context
from ml_assets.conformance.requests import Strange, strange_requests
from ml_assets.conformance.verdict import Finding, failed, judged
from ml_assets.registry.release import STALE
from serving.model.router import MODEL

if TYPE_CHECKING:
    import httpx

WARM, REQUESTS = 100, 1000
"""Requests that are not counted, and requests that are, one after the other over one connection."""
CANDIDATES = "candidates"
"""The one thing that an answer may lack when nobody knows what was asked for."""


def strangers(subject: Context) -> Finding:
    """Unknown, empty, missing and far-off values: an answer of finite numbers or a refusal that names the field."""
    asked = strange_requests(subject)
    replies = [(one, subject.client.post(subject.spec.serving.route, content=one.body)) for one in asked]
    wrong = [f"{one.what}: {said}" for one, reply in replies if (said := _wrong(subject.spec, one, reply))]
    statuses = [reply.status_code for _, reply in replies]
    answered, errors = statuses.count(200), sum(status >= 500 for status in statuses)
    return judged(
        f"{len(wrong)} of {len(asked)} strange requests were met wrongly, first: {wrong[0]}" if wrong else None,
        f"{len(asked)} strange requests: {answered} answered with finite numbers (unknown keys said to be so), "
        f"{len(asked) - answered} refused naming the field, no 5xx",
        requests=len(asked),
        answered=answered,
        refused=len(asked) - answered - errors,
        server_errors=errors,
        wrong=wrong,
    )


def _wrong(spec: ModelSpec, one: Strange, reply: httpx.Response) -> str | None:
    """What is wrong with the reply to a strange request, or None."""
    if reply.status_code == 200:
        return "answered, and should be refused" if one.refuse else wrong_answer(spec, reply.json(), one)
    if not 400 <= reply.status_code < 500:
        return f"status {reply.status_code}: {reply.text[:200]}"
    named = [str(each["field"]) for each in reply.json().get("fields", ())]
    if not any(name.partition(".")[0] in one.fields for name in named):
        return f"refused ({reply.status_code}) naming {named or 'no field'} instead of {' or '.join(one.fields)}"
    return None


def wrong_answer(spec: ModelSpec, said: dict[str, Any], one: Strange | None = None) -> str | None:
    """What is wrong with an answer, or None; `one` is the strange request it is to."""
    if MODEL in said["degraded"]:
        return f"no model answered, degraded: {', '.join(said['degraded'])}"
    degraded = [what for what in said["degraded"] if what != STALE and (what != CANDIDATES or one is None)]
    if degraded:
        return f"degraded: {', '.join(degraded)}"
    if one and one.unknown and said["customer_known" if spec.ranks else "known"]:
        return "not marked as unknown"
    return _wrong_list(spec, said, one.unlisted if one else ()) if spec.ranks else _wrong_value(spec, said)


def _wrong_list(spec: ModelSpec, said: dict[str, Any], unlisted: tuple[str, ...]) -> str | None:
    products, scores = said["products"], said["scores"]
    if len(set(products)) != len(products) or len(products) > spec.serving.max_k or len(scores) != len(products):
        return f"{len(products)} products, {len(set(products))} of them distinct, {len(scores)} scores"
    if not all(_finite(score) for score in scores):
        return f"scores that are no numbers: {scores}"
    lacking = sorted(set(unlisted) - set(said["unknown_products"]))
    return f"unknown, and not said to be: {', '.join(lacking)}" if lacking else None


def _wrong_value(spec: ModelSpec, said: dict[str, Any]) -> str | None:
    name = spec.says
    value = said[name]
    if not _finite(value) or (spec.task is Task.BINARY and not 0 <= value <= 1):
        return f"{name} is {value}"
    return None


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def latency(subject: Context) -> Finding:
    """Ordinary requests one by one, as a client on this machine sees them; a measurement, of this machine as it is."""
    spec, bodies = subject.spec, subject.asked
    if not bodies:
        return failed("the warehouse has nobody and nothing to ask about: ingest some days")
    took, wrong = np.empty(WARM + REQUESTS), []
    for at in range(len(took)):
        began = time.perf_counter()
        reply = subject.client.post(spec.serving.route, json=bodies[at % len(bodies)])
        took[at] = (time.perf_counter() - began) * 1e3
        problem = wrong_answer(spec, reply.json()) if reply.status_code == 200 else f"status {reply.status_code}"
        wrong += [problem] if problem and at >= WARM else []
    p50, p95, p99 = (float(each) for each in np.percentile(took[WARM:], [50, 95, 99]))
    figures = f"p50 {p50:.1f}, p95 {p95:.1f}, p99 {p99:.1f} ms"
    problem = f"p99 is above the {spec.serving.p99_ms:g} ms promised: {figures}" if p99 > spec.serving.p99_ms else None
    if len(wrong) > spec.serving.max_degraded_share * REQUESTS:
        problem = f"{len(wrong)} of {REQUESTS} answers were wrong, first: {wrong[0]}"
    return judged(
        problem,
        f"{REQUESTS} requests about {len(bodies)} known keys, one by one after {WARM} to warm up: {figures}; "
        f"{spec.serving.p99_ms:g} ms promised",
        requests=REQUESTS,
        p50_ms=round(p50, 3),
        p95_ms=round(p95, 3),
        p99_ms=round(p99, 3),
        promised_ms=spec.serving.p99_ms,
        wrong=len(wrong),
    )
