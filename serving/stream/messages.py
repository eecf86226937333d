"""Requests as they came from a topic, and the messages that become of them.

An answer's key and prediction id follow from the request alone, so that one that is delivered twice is answered
under the same key and id, and whoever reads the answers or the prediction log takes the second for the first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import orjson

from ml_assets.config.streaming_config import StreamingSpec
from serving.schemas import MAX_BODY, Refusal, Reply

MAX_KEY = 1024
"""Longest key in bytes."""
AHEAD = timedelta(hours=1)
"""How far a producer's clock may be ahead."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message is."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}-{self.offset}"


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """A message of the topic of requests; `milliseconds` since 1970 when Kafka says it came, None: it does not."""

    place: Place
    key: bytes | None
    value: bytes
    milliseconds: int | None

    def identity(self, by: Literal["key", "offset"]) -> bytes:
        """What this request has in common with its repetitions and with no other: its key, or else its place."""
        return self.key if by == "key" and self.key else str(self.place).encode()

    def prediction_id(self, by: Literal["key", "offset"], model: str) -> str:
        """What its answer is called: SHA-256 of model, topic and identity, the first 32 hexadecimal digits."""
        kind = b"key" if by == "key" and self.key else b"offset"
        parts = (model.encode(), self.place.topic.encode(), kind, self.identity(by))
        return hashlib.sha256(b"\0".join(parts)).hexdigest()[:32]

    def asked_at(self, max_age: timedelta, now: datetime) -> datetime:
        """When it was asked: the same for every delivery, so that the log's days tell repetitions, too.

        Raises:
            Refusal: 422 when that is no usable time: none at all, older than `max_age`, or in the future.
        """
        if self.milliseconds is None:
            raise _wrong("timestamp", "the message has none")
        age = now.timestamp() - self.milliseconds / 1000
        if age > max_age.total_seconds():
            raise _wrong("timestamp", f"the request is older than {max_age}")
        if age < -AHEAD.total_seconds():
            raise _wrong("timestamp", f"the request comes from the future: more than {AHEAD} ahead")
        return datetime.fromtimestamp(self.milliseconds / 1000, UTC)

    def check_key(self) -> None:
        """See that the key is short enough to be an answer's.

        Raises:
            Refusal: 422.
        """
        if self.key is not None and len(self.key) > MAX_KEY:
            raise _wrong("key", f"longer than {MAX_KEY} bytes")


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to be sent, and the request it is for."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, str]
    request: StreamRequest


def answer(spec: StreamingSpec, request: StreamRequest, reply: Reply) -> Outgoing:
    """The answer: the JSON that the endpoint returns, under the request's identity."""
    headers = {"request": str(request.place)}
    return Outgoing(spec.answers, request.identity(spec.identity), reply.json(), headers, request)


def dead_letter(spec: StreamingSpec, request: StreamRequest, reply: Reply) -> Outgoing:
    """The request as it came (of a very large one the beginning), and in the headers why it was not answered."""
    headers = {
        "request": str(request.place),
        "status": str(reply.status),
        "reason": orjson.dumps(reply.body).decode(),
        "bytes": str(len(request.value)),
    }
    key = request.key[:MAX_KEY] if request.key is not None else None
    return Outgoing(spec.dead_letters, key, request.value[:MAX_BODY], headers, request)


def _wrong(field: str, problem: str) -> Refusal:
    return Refusal(422, "the request is not valid", ((field, problem),))
