"""A stream in this process: the real loop, runtime and client, librdkafka's mock cluster as the broker."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from kafka_broker import Broker
from log_lines import read_lines, wait_until
from served_shop import SPEC, Shop, free_port

from ml_assets.config.settings import Settings
from ml_assets.config.streaming_config import StreamingSpec
from ml_assets.storage.log_layout import log_folder
from serving.config import ServiceConfig
from serving.stream.__main__ import run
from serving.stream.leave import Leave

QUICK = {"session.timeout.ms": 6000, "heartbeat.interval.ms": 300}
"""A member that was killed is soon missed. The mock cluster holds a first join for three seconds and drops members that
were silent for a session: with sessions of three seconds the two race, and a member may never join."""
PATIENCE = 120.0
"""Seconds; joining a group takes three, and much longer on a machine that is busy."""


@dataclass
class Topics:
    """The three topics of one stream, and what is in them."""

    broker: Broker
    name: str
    batch: int = 20
    more: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        given: dict[str, Any] = {
            "bootstrap": self.broker.bootstrap,
            "requests": f"{self.name}.requests",
            "answers": f"{self.name}.answers",
            "dead_letters": f"{self.name}.dead",
            "group": self.name,
            "batch": self.batch,
            "config": QUICK,
        }
        self.spec = StreamingSpec.model_validate(given | self.more)
        self.broker.make(self.spec.requests, self.spec.answers, self.spec.dead_letters)

    def ask(self, key: str | None = None, /, *, to: dict[str, Any] | None = None, **asked: Any) -> None:
        """Send a request of the given fields; `to`: where and when."""
        self.send(json.dumps(asked).encode(), key, **(to or {}))

    def send(self, value: bytes | None, key: str | None = None, **more: Any) -> None:
        self.broker.put(self.spec.requests, value, key=key, **more)
        self.broker.flush()

    def answers(self, count: int, seconds: float = PATIENCE) -> list[Any]:
        """The answers, as soon as there are so many."""
        return self._read(self.spec.answers, count, seconds)

    def dead_letters(self, count: int) -> list[Any]:
        return self._read(self.spec.dead_letters, count)

    def done(self) -> None:
        """Wait until everything that was asked is committed."""
        asked = self.broker.count(self.spec.requests)
        wait_until(lambda: self.broker.committed(self.spec.group, self.spec.requests) == asked, PATIENCE)

    def _read(self, topic: str, count: int, seconds: float = PATIENCE) -> list[Any]:
        wait_until(lambda: self.broker.count(topic) >= count, seconds)
        return self.broker.read(topic)


def config_of(topics: Topics, **changes: Any) -> ServiceConfig:
    given = {"holdback": SPEC.serving.holdback, "feature_timeout_ms": SPEC.serving.feature_timeout_ms}
    return ServiceConfig(
        model_name=SPEC.name, feature_service=SPEC.feature_service, streaming=topics.spec, **(given | changes)
    )


@dataclass
class Running:
    """A stream that runs in a thread of this process."""

    topics: Topics
    settings: Settings
    leave: Leave
    thread: threading.Thread
    raised: list[Exception] = field(default_factory=list)

    def page(self, path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.settings.stream_port}{path}", trust_env=False)

    def reachable(self) -> bool:
        try:
            return self.page("/livez").status_code == 200
        except httpx.ConnectError:
            return False

    def lines(self, **wanted: Any) -> list[dict[str, Any]]:
        """The lines of the prediction log that this process wrote with these fields."""
        lines = read_lines(log_folder(self.settings, SPEC.name))
        return [line for line in lines if wanted.items() <= line.items()]

    def end(self) -> None:
        self.leave.ask()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()


@contextmanager
def streaming(shop: Shop, topics: Topics, *, grace: float = 10.0, **changes: Any) -> Iterator[Running]:
    """Run a stream of the shop's model while the block lasts; it must end well."""
    settings = shop.settings.model_copy(update={"stream_port": free_port()})
    leave, raised = Leave(grace), []

    def work() -> None:
        try:
            run(config_of(topics, **changes), settings, leave)
        except Exception as error:
            raised.append(error)

    running = Running(topics, settings, leave, threading.Thread(target=work), raised)
    running.thread.start()
    try:
        wait_until(lambda: running.reachable() or raised, PATIENCE)
        yield running
    finally:
        running.end()


def by_key(messages: list[Any]) -> dict[str, list[bytes]]:
    """The values of messages, by key."""
    found: dict[str, list[bytes]] = {}
    for message in messages:
        found.setdefault(message.key().decode(), []).append(message.value())
    return found
