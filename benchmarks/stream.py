"""`python -m benchmarks.stream`: requests from a topic a second, on what `make demo` made; prints one line.

The stream and librdkafka's mock cluster run in this process; beside it the floor: the same requests answered by the
same runtime without a topic, a log on disk or a commit.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from pathlib import Path

import orjson
from confluent_kafka import Consumer, Producer, TopicPartition

from benchmarks.speed.home import free_port
from ml_assets.config.model_spec import model_spec
from ml_assets.config.settings import Settings, load_settings
from ml_assets.config.streaming_config import StreamingSpec
from ml_assets.registry.history import write_pointer
from ml_assets.registry.pointer import pointer_path, require_pointer
from ml_assets.retrieval.index import RetrievalIndex
from serving.config import ServiceConfig
from serving.http.runtime import Runtime
from serving.stream.__main__ import run
from serving.stream.leave import Leave

MODEL = "product_recommender"
REQUESTS, CUSTOMERS, PARTITIONS = 5000, 500, 4
QUIET = {"log_level": 0}


def main() -> int:
    """Answer the same requests with and without a topic, and report."""
    demo = load_settings()
    pointer = require_pointer(pointer_path(demo, MODEL))
    customers = RetrievalIndex.load(pointer.index_path).customers[:CUSTOMERS]
    bodies = [orjson.dumps({"customer": customers[number % len(customers)]}) for number in range(REQUESTS)]
    cluster = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "mock:1", **QUIET})
    (node,) = cluster.list_topics(timeout=10).brokers.values()
    spec = StreamingSpec(
        bootstrap=f"{node.host}:{node.port}", requests="asked", answers="answered", dead_letters="dead", group="bench"
    )
    served = model_spec(MODEL)
    config = ServiceConfig(model_name=MODEL, feature_service=served.feature_service, streaming=spec)
    with tempfile.TemporaryDirectory(prefix="stream-") as home:
        settings = demo.model_copy(update={"home": Path(home), "stream_port": free_port()})
        write_pointer(pointer_path(settings, MODEL), pointer)
        floor = _without_topic(config, settings, bodies)
        seconds = _with_topic(config, settings, spec, bodies)
    print(
        f"{REQUESTS:,} requests from a topic: {REQUESTS / seconds:,.0f} a second, each logged, acknowledged and "
        f"committed in batches of {spec.batch}; answered without a topic: {REQUESTS / floor:,.0f} a second"
    )
    return 0


def _without_topic(config: ServiceConfig, settings: Settings, bodies: list[bytes]) -> float:
    runtime = Runtime(config, settings)
    runtime.start()
    try:
        began = time.perf_counter()
        for number, body in enumerate(bodies):
            runtime.recommend.make(body, f"{number:032x}")
        return time.perf_counter() - began
    finally:
        runtime.stop()


def _with_topic(config: ServiceConfig, settings: Settings, spec: StreamingSpec, bodies: list[bytes]) -> float:
    """Seconds from the first commit to the last, scaled to all requests: joining the group is not counted."""
    producer = Producer({"bootstrap.servers": spec.bootstrap, **QUIET})
    for number, body in enumerate(bodies):
        producer.produce(spec.requests, body, key=f"r{number}", partition=number % PARTITIONS)
    assert producer.flush(60) == 0
    leave = Leave()
    stream = threading.Thread(target=run, args=(config, settings, leave))
    stream.start()
    watcher = Consumer({"bootstrap.servers": spec.bootstrap, "group.id": spec.group, **QUIET})
    places = [TopicPartition(spec.requests, number) for number in range(PARTITIONS)]
    first, began = 0, 0.0
    while stream.is_alive():
        done = sum(max(0, place.offset) for place in watcher.committed(places, timeout=10))
        if done and not first:
            first, began = done, time.perf_counter()
        if done == len(bodies):
            break
        time.sleep(0.01)
    seconds = time.perf_counter() - began
    leave.ask()
    stream.join()
    watcher.close()
    assert first < len(bodies), "too few requests to be timed"
    return seconds * len(bodies) / (len(bodies) - first)


if __name__ == "__main__":
    sys.exit(main())
