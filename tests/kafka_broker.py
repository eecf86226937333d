"""librdkafka's own mock cluster as the broker: it speaks Kafka's protocol on a port of this machine."""

from __future__ import annotations

from typing import Any

from confluent_kafka import Consumer, Message, Producer, TopicPartition

QUIET = {"log_level": 0}
PARTITIONS = 4
"""Those of every topic of the mock cluster."""


class Broker:
    """A cluster of one node that lives as long as this object; topics come into being with their first message."""

    def __init__(self) -> None:
        self.host = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "mock:1", **QUIET})
        brokers = self.host.list_topics(timeout=10).brokers.values()
        self.bootstrap = ",".join(f"{each.host}:{each.port}" for each in brokers)
        self.producer = Producer({"bootstrap.servers": self.bootstrap, **QUIET})

    def put(self, topic: str, value: bytes | None, **more: Any) -> None:
        """Hand one message over; `flush` waits until the broker has all of them."""
        self.producer.produce(topic, value, **more)
        self.producer.poll(0)

    def flush(self) -> None:
        assert self.producer.flush(30) == 0

    def make(self, *topics: str) -> None:
        """Have topics come into being without a message."""
        for topic in topics:
            self.host.list_topics(topic, timeout=10)

    def read(self, topic: str) -> list[Message]:
        """Every message that is in the topic now, partition by partition."""
        consumer = self._consumer("reader")
        places = [TopicPartition(topic, number, 0) for number in range(PARTITIONS)]
        ends = [consumer.get_watermark_offsets(place, timeout=10)[1] for place in places]
        consumer.assign(places)
        found: list[Message] = []
        while len(found) < sum(ends):
            message = consumer.poll(10)
            assert message is not None, f"{topic} has {sum(ends)} messages, {len(found)} came"
            assert message.error() is None, message.error()
            found.append(message)
        consumer.close()
        return sorted(found, key=lambda each: (each.partition(), each.offset()))

    def count(self, topic: str) -> int:
        """Messages that are in the topic now."""
        places = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        consumer = self._consumer("reader")
        found = sum(consumer.get_watermark_offsets(place, timeout=10)[1] for place in places)
        consumer.close()
        return found

    def committed(self, group: str, topic: str) -> int:
        """Messages that a group says it is done with."""
        consumer = self._consumer(group)
        places = consumer.committed([TopicPartition(topic, number) for number in range(PARTITIONS)], timeout=10)
        consumer.close()
        return sum(max(0, place.offset) for place in places)

    def _consumer(self, group: str) -> Consumer:
        return Consumer({"bootstrap.servers": self.bootstrap, "group.id": group, **QUIET})
