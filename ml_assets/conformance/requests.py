"""Requests that a careless or hostile caller makes, and what a service may say to each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ml_assets.config.keys import TEXT, KeyForm
from ml_assets.conformance.context import Context
from ml_assets.datasets.provenance import key_forms_of
from serving.schemas import MAX_ID

STRANGER = "(never seen)"
FAR = {"huge": 1e308, "beyond float32": 1e39, "negative": -1e12, "tiny": 1e-300, "zero": 0}
"""Numbers out of any range."""
NO_JSON = (b"", b"{", b"null", b"[1, 2]", b'{"a": ', b"\xff\xfe")


@dataclass(frozen=True)
class Strange:
    """A request: `body` as it is posted; a refusal names one of `fields`.

    `refuse`: it must be refused. `unknown`: an answer says that nothing is known. `unlisted`: products an answer names
    as unknown.
    """

    what: str
    body: bytes
    fields: tuple[str, ...]
    refuse: bool = False
    unknown: bool = False
    unlisted: tuple[str, ...] = ()


def strange_requests(subject: Context) -> list[Strange]:
    """Every way to ask wrongly or about what nobody knows, made from a request about something known."""
    if not subject.asked:
        raise LookupError(f"{subject.spec.name}: the warehouse has nobody and nothing to ask about: ingest some days")
    known = dict(subject.asked[0])
    broken = [Strange(f"not an object: {body!r}", body, ("body",), refuse=True) for body in NO_JSON]
    own = (
        _lists(known)
        if subject.spec.ranks
        else _events(known, subject.spec.request_features, subject.version.key_forms or key_forms_of(subject.spec))
    )
    return [*own, *_shapes(known), *broken]


def _shapes(known: dict[str, Any]) -> Iterator[Strange]:
    """A field that nobody knows, and fields of another type."""
    yield _case("a field of no model", {**known, "colour": "red"}, "colour", refuse=True)
    for name in known:
        yield _case(f"{name} a list", {**known, name: [1]}, name, refuse=True)
        yield _case(f"{name} an object", {**known, name: {"a": 1}}, name, refuse=True)
        yield _case(f"{name} a boolean", {**known, name: True}, name, refuse=True)


def _texts(known: dict[str, Any], name: str, *, number: bool = False) -> Iterator[Strange]:
    """Identifiers that are none; `number`: it may be said as a number."""
    yield _case(f"{name} empty", {**known, name: ""}, name)
    yield _case(f"{name} blank", {**known, name: "   "}, name)
    yield _case(f"{name} too long", {**known, name: "x" * (MAX_ID + 1)}, name, refuse=True)
    yield _case(f"{name} with a control character", {**known, name: "a\x00b"}, name, refuse=True)
    yield _case(f"{name} in another script", {**known, name: "名無し-ß-🚕"}, name)
    yield _case(f"{name} a number", {**known, name: 7}, name, refuse=not number)
    yield _case(f"{name} a fraction", {**known, name: 7.5}, name, refuse=True)
    yield _case(f"{name} null", {**known, name: None}, name)


def _events(known: dict[str, Any], numbers: tuple[str, ...], forms: Mapping[str, KeyForm]) -> Iterator[Strange]:
    """Of labelled events: keys and numbers, alone and all together; of a missing key its word may be known."""
    keys = [name for name in known if name not in numbers]
    nothing = all(forms.get(name, TEXT).missing is None for name in keys)
    yield _case("no key known", {**known, **dict.fromkeys(keys, STRANGER)}, *keys, unknown=True)
    yield _case("every key null", {**known, **dict.fromkeys(keys)}, *keys, unknown=nothing)
    yield _case("nothing said", dict.fromkeys(known), *known, unknown=nothing)
    yield _case("no fields", {}, *known, refuse=True)
    for name in keys:
        yield _case(f"{name} unknown", {**known, name: STRANGER}, name, unknown=len(keys) == 1)
        yield from _texts(known, name, number=forms.get(name, TEXT).number)
    for name in numbers:
        yield _case(f"{name} null", {**known, name: None}, name)
        yield _case(f"{name} a text", {**known, name: "12"}, name, refuse=True)
        for what, value in FAR.items():
            yield _case(f"{name} {what}", {**known, name: value}, name)
        for none in ("NaN", "Infinity", "1e999"):
            said = json.dumps({**known, name: None}).replace(f'"{name}": null', f'"{name}": {none}')
            yield Strange(f"{name} {none}", said.encode(), (name, "body"), refuse=True)
    for name in known:
        left = {other: value for other, value in known.items() if other != name}
        yield _case(f"{name} missing", left, name, refuse=True)
    if numbers:
        yield _case("every number beyond float32", {**known, **dict.fromkeys(numbers, FAR["beyond float32"])}, *numbers)


def _lists(known: dict[str, Any]) -> Iterator[Strange]:
    """Of rankings: who asks, how many, in which session, for which candidates."""
    ask = {"customer": known["customer"]}
    yield _case("customer unknown", {"customer": STRANGER}, "customer", unknown=True)
    yield from _texts(ask, "customer")
    yield _case("no fields", {}, "customer", refuse=True)
    yield _case("customer unknown, who looked at an unknown product",
                {"customer": STRANGER, "session": [{"product": STRANGER, "event_type": "view"}]},
                "session", unknown=True, unlisted=(STRANGER,))  # fmt: skip
    for k in (0, -1, 10**9, 2**70, 1.5, "3"):
        yield _case(f"k {k!r}", {**ask, "k": k}, "k", refuse=True)
    yield _case("k null", {**ask, "k": None}, "k")
    yield _case("only unknown candidates", {**ask, "candidates": [STRANGER]}, "candidates", unlisted=(STRANGER,))
    yield _case("no candidates", {**ask, "candidates": []}, "candidates", refuse=True)
    yield _case("an empty candidate", {**ask, "candidates": [""]}, "candidates")
    yield _case("candidates null", {**ask, "candidates": None}, "candidates")
    yield _case("too many candidates", {**ask, "candidates": [f"p{at}" for at in range(501)]}, "candidates")
    yield _case("one candidate twice", {**ask, "candidates": [STRANGER, STRANGER]}, "candidates", unlisted=(STRANGER,))
    yield _case("session null", {**ask, "session": None}, "session")
    event = {"product": STRANGER, "event_type": "steal"}
    yield _case("an event of no type", {**ask, "session": [event]}, "session", refuse=True)


def _case(what: str, body: dict[str, Any], *fields: str, **expected: Any) -> Strange:
    return Strange(what, json.dumps(body).encode(), fields, **expected)
