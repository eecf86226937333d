"""A broker that is away: librdkafka tries again many times a second, people are told once."""

from __future__ import annotations

import logging

import pytest

pytest.importorskip("confluent_kafka", reason="confluent-kafka is not installed (extra `kafka`)")

from served_shop import free_port

from ml_assets.config.streaming_config import StreamingSpec
from serving.stream.broker import Broker
from serving.stream.leave import Leave


def test_a_broker_that_is_away_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    topics = {"requests": "asked", "answers": "answered", "dead_letters": "dead", "group": "alone"}
    spec = StreamingSpec.model_validate({"bootstrap": f"127.0.0.1:{free_port()}", **topics})
    with caplog.at_level(logging.WARNING, "serving.stream"), Broker(spec, "spec.yaml", Leave()) as broker:
        while not caplog.messages:
            assert broker.next_batch() == []
        for _ in range(4):
            assert broker.next_batch() == []
    assert len(caplog.messages) == len(set(caplog.messages)) <= 2  # refused, and all brokers down
