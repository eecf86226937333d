"""The stream as a process of its bento: killed it loses nothing, asked to end it leaves nothing in hand."""

import json
import signal
import subprocess
from contextlib import contextmanager

import pytest
from log_lines import read_lines, wait_until

pytest.importorskip("confluent_kafka", reason="confluent-kafka is not installed (extra `kafka`)")

from kafka_broker import Broker
from served_shop import SPEC, copy_of, free_port
from streamed import Topics, by_key

from ml_assets.storage.log_layout import log_folder
from serving.deploy.build import build_bento
from serving.stream.leave import StreamError
from serving.stream.process import COMMAND, newest_code, stream_environment

REQUESTS = 400
PATIENCE = 200
"""Seconds; a process takes five to begin, and much longer on a machine that is busy."""


@pytest.fixture
def topics():
    """Topics of a cluster of their own; the bento finds it by the environment."""
    return Topics(Broker(), "killed", more={"bootstrap": "${KAFKA}"})


@pytest.fixture(scope="module")
def built(parts, tmp_path_factory):
    """A home with a service that answers a topic."""
    shop = copy_of(parts, tmp_path_factory.mktemp("killed"))
    version = shop.version(1)
    shop.point(shop.pointer(version))
    streaming = Topics(Broker(), "killed", more={"bootstrap": "${KAFKA}"}).spec
    served = SPEC.serving.model_copy(update={"streaming": streaming, "exploration": 0.5})
    spec = SPEC.model_copy(update={"serving": served})
    build_bento(spec, version.path, shop.settings, index_folder=shop.index_folder, as_of=shop.pointer(version).as_of)
    return shop


@contextmanager
def process(shop, topics, log):
    """The stream as `ml_assets stream` becomes it."""
    code = newest_code(shop.settings, SPEC.name)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("KAFKA", topics.broker.bootstrap)
        environment = stream_environment(shop.settings.model_copy(update={"stream_port": free_port()}), code)
    with log.open("ab") as output:
        running = subprocess.Popen(COMMAND, cwd=code, env=environment, stdout=output, stderr=output)
    try:
        yield running
    finally:
        running.kill()
        running.wait()


def until(running, happened):
    """Wait until something happened, or the process ended."""
    wait_until(lambda: running.poll() is not None or happened(), PATIENCE)


def test_a_killed_stream_loses_nothing_and_repeats_under_the_same_ids(built, topics, tmp_path):
    broker, spec, log = topics.broker, topics.spec, tmp_path / "stream.log"
    for number in range(REQUESTS):
        body = {"customer": f"u{number % 40}", "k": 5}
        broker.put(spec.requests, json.dumps(body).encode(), key=f"r{number}", partition=number % 4)
    broker.flush()
    for answered in (1, 100):  # killed soon after the first answers, and again further on
        with process(built, topics, log) as running:
            until(running, lambda: broker.count(spec.answers) >= answered)  # noqa: B023
            assert running.poll() is None, log.read_text()
            running.send_signal(signal.SIGKILL)
    assert broker.committed(spec.group, spec.requests) < REQUESTS, "it was in the middle"
    with process(built, topics, log) as running:
        wait_until(
            lambda: running.poll() is not None or broker.committed(spec.group, spec.requests) == REQUESTS, PATIENCE
        )
        running.send_signal(signal.SIGTERM)
        assert running.wait(PATIENCE) == 0, log.read_text()
    answers = by_key(broker.read(spec.answers))
    assert answers.keys() == {f"r{number}" for number in range(REQUESTS)}
    assert all(len(set(values)) == 1 for values in answers.values()), "a repetition is the same to the byte"
    sent = {json.loads(values[0])["prediction_id"] for values in answers.values()}
    logged = {line["prediction_id"] for line in read_lines(log_folder(built.settings, SPEC.name))}
    assert len(sent) == REQUESTS
    assert logged >= sent
    assert "left the group" in log.read_text()


def test_asked_to_end_it_finishes_what_is_in_hand_and_begins_nothing_new(built, topics, tmp_path):
    broker, spec, log = topics.broker, topics.spec, tmp_path / "stream.log"
    with process(built, topics, log) as running:
        for number in range(REQUESTS):
            topics.broker.put(spec.requests, b'{"customer": "u1"}', key=f"more{number}", partition=number % 4)
        broker.flush()
        until(running, lambda: broker.count(spec.answers) > 0)
        running.send_signal(signal.SIGTERM)
        assert running.wait(PATIENCE) == 0, log.read_text()
    answered, committed = broker.read(spec.answers), broker.committed(spec.group, spec.requests)
    assert len({each.key() for each in answered}) == len(answered) == committed, (
        "answered is committed, and the reverse"
    )


def test_what_was_never_built_is_said(shop):
    with pytest.raises(StreamError, match="materialize ranker/service"):
        newest_code(shop.settings, SPEC.name)
