"""A server whose disk is full: it answers, its workers come back, it says what it cannot keep, and goes on later."""

import re
from contextlib import contextmanager

import httpx
import psutil
import pytest
from log_lines import read_lines, wait_until
from served_shop import SPEC, Served, copy_of
from small_disk import fill
from small_disk import small_disk as mounted

from ml_assets.storage.log_layout import log_folder
from serving.deploy.process import start, stop, wait_ready
from serving.log import free_space

PATIENCE = 120.0


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 64 MiB of its own."""
    with mounted(tmp_path / "disk", "64m") as folder:
        yield folder


@contextmanager
def serving(shop):
    """A server of the shop's model under its address."""
    version = shop.version(1)
    shop.point(shop.pointer(version))
    try:
        handle = start(shop.settings, shop.build(version), timeout=90)
        wait_ready(handle.url, version.version)
        with httpx.Client(base_url=handle.url, trust_env=False, timeout=PATIENCE) as client:
            yield Served(shop, handle, client, (version,))
    finally:
        stop(shop.settings, SPEC.name)


def ask(served):
    """The id of an answer that lacks nothing."""
    answer = served.client.post("/recommend", json={"customer": "u1", "k": 3})
    assert (answer.status_code, answer.json()["degraded"]) == (200, [])
    return answer.json()["prediction_id"]


def test_a_full_disk_costs_lines_and_nothing_else(parts, small_disk):
    with serving(copy_of(parts, small_disk)) as served:
        served.line(prediction_id=ask(served))
        assert (served.ready()["log_problem"], served.metric("prediction_log_stopped")) == (None, 0)
        filler = fill(small_disk)
        wait_until(lambda: served.ready()["log_problem"])
        lost = {ask(served) for _ in range(5)}
        wait_until(lambda: served.metric("prediction_log_dropped_total") == 5)
        assert served.metric("prediction_log_stopped") == 1
        (worker,) = psutil.Process(served.handle.pid).children()
        worker.kill()
        said = wait_ready(served.handle.url, served.versions[0].version, PATIENCE)
        assert said["pid"] != worker.pid
        lost.add(ask(served))
        assert "less than 3 MiB free" in served.ready()["log_problem"]
        wait_until(lambda: served.metric("prediction_log_dropped_total") == 6)
        filler.unlink()
        wait_until(lambda: served.ready()["log_problem"] is None)
        served.line(prediction_id=ask(served))
        assert served.metric("prediction_log_stopped") == 0
        assert lost.isdisjoint(line["prediction_id"] for line in served.lines())


def test_what_the_workers_share_is_off_the_disk_for_us_alone_and_gone_in_the_end(shop):
    with serving(shop) as served:
        scratch = served.handle.scratch
        assert not scratch.is_relative_to(shop.settings.home)
        assert scratch.stat().st_mode & 0o777 == 0o700
        assert len(list(scratch.glob("*/*.db"))) >= 3, "metrics"
        assert len(list(scratch.glob("*/*.json"))) == 1, "what the worker serves"
        psutil.Process(served.handle.pid).kill()
    assert not scratch.exists()


def test_a_stream_waits_for_room_and_commits_nothing_before(parts, tmp_path, monkeypatch):
    pytest.importorskip("confluent_kafka", reason="confluent-kafka is not installed (extra `kafka`)")
    from kafka_broker import Broker
    from streamed import Topics, streaming

    shop = copy_of(parts, tmp_path)
    shop.point(shop.pointer(shop.version(1)))
    topics = Topics(Broker(), "full")
    with streaming(shop, topics) as running, monkeypatch.context() as full:
        full.setattr(free_space, "LIMIT_BYTES", 2**62)
        full.setattr(free_space, "LIMIT_SHARE", 1.0)
        wait_until(lambda: running.page("/readyz").json()["log_problem"])
        topics.ask("r1", customer="u1")
        wait_until(lambda: re.search(r"^recommend_seconds_count [1-9]", running.page("/metrics").text, re.M), PATIENCE)
        assert "prediction_log_stopped 1.0" in running.page("/metrics").text
        assert topics.broker.count(topics.spec.answers) == 0
        assert topics.broker.committed(topics.spec.group, topics.spec.requests) == 0
        full.undo()
        topics.done()
        assert len(topics.answers(1)) == 1
        assert len(list(read_lines(log_folder(shop.settings, SPEC.name)))) == 1
