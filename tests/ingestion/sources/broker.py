"""librdkafka's own mock cluster as the broker: it speaks Kafka's protocol on a port of this machine."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import Producer
from tiny_shop import at, event

QUIET = {"log_level": 0}


class Broker:
    """A cluster of one node that lives as long as this object; topics come into being with their first message."""

    def __init__(self) -> None:
        self.host = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "mock:1", **QUIET})
        brokers = self.host.list_topics(timeout=10).brokers.values()
        self.bootstrap = ",".join(f"{each.host}:{each.port}" for each in brokers)
        self.producer = Producer({"bootstrap.servers": self.bootstrap, **QUIET})

    def send(
        self, topic: str, value: bytes | None, *, partition: int = 0, when: datetime | None = None, **more: Any
    ) -> None:
        """Send one message and wait until the broker has it."""
        stamp = int((when or at(0)).replace(tzinfo=UTC).timestamp() * 1000)
        self.producer.produce(topic, value, partition=partition, timestamp=stamp, **more)
        assert self.producer.flush(10) == 0

    def send_event(self, topic: str, content: Mapping[str, Any] | str, **more: Any) -> None:
        """Send a good event with that id, or any content, as JSON."""
        content = event(content) if isinstance(content, str) else content
        self.send(topic, json.dumps(content).encode(), **more)
