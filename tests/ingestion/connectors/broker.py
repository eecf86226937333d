"""The mock cluster with a shop's events in it."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import kafka_broker
from tiny_shop import at, event


class Broker(kafka_broker.Broker):
    """A cluster that takes events of the tiny shop."""

    def send(
        self, topic: str, value: bytes | None, *, partition: int = 0, when: datetime | None = None, **more: Any
    ) -> None:
        """Send one message and wait until the broker has it."""
        stamp = int((when or at(0)).replace(tzinfo=UTC).timestamp() * 1000)
        self.put(topic, value, partition=partition, timestamp=stamp, **more)
        self.flush()

    def send_event(self, topic: str, content: Mapping[str, Any] | str, **more: Any) -> None:
        """Send a good event with that id, or any content, as JSON."""
        content = event(content) if isinstance(content, str) else content
        self.send(topic, json.dumps(content).encode(), **more)
