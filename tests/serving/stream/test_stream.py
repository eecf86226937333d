"""Requests from a topic: answered as over HTTP, each under its own id, bad ones set aside, nothing counted twice."""

import json
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from log_lines import wait_until

pytest.importorskip("confluent_kafka", reason="confluent-kafka is not installed (extra `kafka`)")

from kafka_broker import Broker
from served_shop import HELD_BACK, SPEC, copy_of
from streamed import PATIENCE, Topics, by_key, streaming

from ml_assets.config.model_spec import MonitoringSpec, QualitySpec
from ml_assets.prediction_log import account, collect, publish_day
from ml_assets.storage.log_layout import log_folder
from serving.schemas import MAX_BODY
from serving.stream.leave import StreamError

REQUESTS = [
    {"customer": "u1"},
    {"customer": "u2", "k": 3},
    {"customer": HELD_BACK},
    {"customer": "a stranger", "session": [{"product": "p001", "event_type": "view"}]},
    {"customer": "u3", "candidates": ["p001", "p002", "no-such"]},
]


@pytest.fixture(scope="module")
def broker():
    return Broker()


@pytest.fixture(scope="module")
def stream(server, broker):
    """One stream beside the HTTP server: same home, same pointer, same log."""
    server.serve(0)
    with streaming(server.shop, Topics(broker, "beside")) as running:
        yield running
    assert not running.raised


@pytest.fixture
def alone(parts, tmp_path):
    """A home of its own in which a version serves."""
    shop = copy_of(parts, tmp_path)
    shop.point(shop.pointer(shop.version(1)))
    return shop


def unnamed(body):
    return {name: value for name, value in body.items() if name not in {"prediction_id", "feedback_token"}}


def test_the_same_request_has_the_same_answer_as_over_http(server, stream):
    for number, asked in enumerate(REQUESTS):
        stream.topics.ask(f"parity-{number}", **asked)
    answers = by_key(stream.topics.answers(len(REQUESTS)))
    for number, asked in enumerate(REQUESTS):
        (value,) = answers[f"parity-{number}"]
        posted = server.client.post("/recommend", json=asked)
        assert unnamed(json.loads(value)) == unnamed(posted.json())
        assert [*json.loads(value)] == [*posted.json()], "the same keys in the same order"
        line = server.line(prediction_id=json.loads(value)["prediction_id"])
        other = server.line(prediction_id=posted.json()["prediction_id"])
        fresh = {"prediction_id", "time", "logged_at", "latency_ms", "served_by"}
        assert {each: line[each] for each in line if each not in fresh} == {
            each: other[each] for each in other if each not in fresh
        }


def test_the_server_takes_feedback_to_an_answer_of_the_stream(server, stream):
    before = stream.topics.broker.count(stream.topics.spec.answers)
    stream.topics.ask("fed back", customer="u1", k=2)
    (value,) = by_key(stream.topics.answers(before + 1))["fed back"]
    said = json.loads(value)
    told = {name: said[name] for name in ("prediction_id", "feedback_token")}
    events = [{"product": said["products"][0], "event_type": "click"}]
    assert server.client.post("/feedback", json={**told, "events": events}).status_code == 202
    assert server.line(kind="outcome", prediction_id=said["prediction_id"])["product"] == said["products"][0]
    other = {**told, "prediction_id": "0" * 32, "events": events}
    assert server.client.post("/feedback", json=other).status_code == 403


def test_a_request_that_comes_twice_is_one_answer_under_one_key(stream):
    before = stream.topics.broker.count(stream.topics.spec.answers)
    for _ in range(2):
        stream.topics.ask("twice", customer="u2")
    twice = by_key(stream.topics.answers(before + 2))["twice"]
    assert len(twice) == 2
    assert len(set(twice)) == 1, "to the byte"


def test_what_came_without_a_key_is_called_by_its_place(stream):
    before = stream.topics.broker.count(stream.topics.spec.answers)
    stream.topics.ask(None, customer="u1", to={"partition": 2})
    (said,) = [each for each in stream.topics.answers(before + 1) if b"requests-2-" in each.key()]
    assert dict(said.headers())["request"] == said.key()
    stream.topics.done()


def test_bad_requests_go_aside_with_the_reason_and_block_nobody(stream):
    long_ago = int((datetime.now(UTC) - timedelta(days=8)).timestamp() * 1000)
    bad = {
        "no-json": (b"{broken", {}, 400, "JSON"),
        "wrong": (b'{"customer": "u1", "k": 0}', {}, 422, '"field":"k"'),
        "nothing": (None, {}, 400, "JSON"),
        "large": (b"x" * (MAX_BODY + 1), {}, 413, "larger than"),
        "old": (b'{"customer": "u1"}', {"timestamp": long_ago}, 422, "older than"),
        "timed": (b'{"customer": "u1", "time": "yesterday"}', {}, 422, '"field":"time"'),
    }
    refused = len(stream.lines(kind="refusal"))
    before = stream.topics.broker.count(stream.topics.spec.answers)
    for key, (value, more, _, _) in bad.items():
        stream.topics.send(value, key, partition=1, **more)
    stream.topics.ask("after", customer="u1", to={"partition": 1})
    assert "after" in by_key(stream.topics.answers(before + 1))
    dead = {each.key().decode(): each for each in stream.topics.dead_letters(len(bad))}
    assert dead.keys() == bad.keys()
    for key, (value, _, status, reason) in bad.items():
        headers = {name: text.decode() for name, text in dead[key].headers()}
        assert (headers["status"], reason in headers["reason"]) == (str(status), True), headers
        assert headers["request"].startswith("beside.requests-1-")
        assert dead[key].value() == (value[:MAX_BODY] if value else None) or dead[key].value() == b""
    assert len(stream.lines(kind="refusal")) == refused + len(bad)
    stream.topics.done()


def test_its_pages_say_what_it_does(stream):
    stream.topics.ask("counted", customer="u1")
    stream.topics.done()
    ready = stream.page("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    assert stream.page("/livez").status_code == 200
    assert stream.page("/elsewhere").status_code == 404

    def shown():
        text = stream.page("/metrics").text
        return all(part in text for part in ("stream_lag 0.0", "stream_partitions 4.0", "recommend_seconds_count"))

    wait_until(shown, PATIENCE)
    assert 'stream_messages_total{outcome="answered"}' in stream.page("/metrics").text


def test_a_new_champion_is_taken_up_in_mid_stream_and_no_request_is_lost(alone, broker):
    versions = [alone.version(level) for level in (1, 2, 3)]
    topics = Topics(broker, "swapped")
    with streaming(alone, topics) as running:
        for level, version in enumerate(versions):
            alone.point(alone.pointer(version, deployment=level))
            for number in count():
                topics.ask(f"{level}-{number}", customer=f"u{number % 30}", to={"partition": number % 4})
                if running.page("/readyz").json().get("model_version") == version.version:
                    break
            topics.ask(f"{level}-last", customer="u1")
            topics.done()
        asked = broker.count(topics.spec.requests)
        answers = by_key(topics.answers(asked))
    assert not running.raised
    assert all(len(values) == 1 for values in answers.values())
    assert len(answers) == asked
    said = [json.loads(value) for (value,) in answers.values()]
    levels = {version.version: level for level, version in enumerate(versions, 1)}
    assert {body["model_version"] for body in said if body["model_version"] != "popular"} == set(levels)
    for body in said:
        if body["model_version"] != "popular":
            assert all(abs(score - levels[body["model_version"]]) < 0.5 for score in body["scores"]), "one version's"
    last = [json.loads(answers[f"{level}-last"][0])["model_version"] for level in range(3)]
    assert last == [version.version for version in versions]


def test_an_answer_delivered_twice_is_in_the_days_table_once(alone, broker):
    topics = Topics(broker, "repeated")
    now = datetime.now(UTC)
    for number in range(10):
        topics.ask(f"r{number}", customer="u1", to={"timestamp": int(now.timestamp() * 1000)})
    with streaming(alone, topics, exploration=0.5):
        topics.done()
    again = Topics(broker, "repeated", more={"group": "others"})  # nothing is committed for this group
    with streaming(alone, again, exploration=0.5) as running:
        again.done()
        twice = by_key(topics.answers(20))
    assert all(len(values) == 2 and len(set(values)) == 1 for values in twice.values()), "drawn the same, too"
    assert len({tuple(json.loads(values[0])["products"]) for values in twice.values()}) > 1, "and drawn at all"
    settings, spec = (
        running.settings,
        SPEC.model_copy(update={"monitoring": MonitoringSpec(quality=QualitySpec(outcomes="feedback"))}),
    )
    assert collect(settings, SPEC.name).predictions == 20
    table = publish_day(settings, spec, now.date())
    assert (table.predictions, table.duplicates) == (10, 10)
    assert account(settings, SPEC.name, now.date()).ok


def test_members_share_the_requests_and_one_goes_on_when_the_other_leaves(alone, broker):
    topics = Topics(broker, "shared")
    with streaming(alone, topics) as first:
        wait_until(lambda: "stream_partitions 4.0" in first.page("/metrics").text, PATIENCE)
        with streaming(alone, topics) as second:
            shared = ("stream_partitions 2.0" in each.page("/metrics").text for each in (first, second))
            number = 0
            while not all(shared):
                topics.ask(f"joining-{(number := number + 1)}", customer="u1", to={"partition": number % 4})
                shared = ("stream_partitions 2.0" in each.page("/metrics").text for each in (first, second))
            for number in range(40):
                topics.ask(f"both-{number}", customer="u2", to={"partition": number % 4})
        for number in range(40):
            topics.ask(f"one-{number}", customer="u3", to={"partition": number % 4})
        topics.done()
    assert not first.raised + second.raised
    asked, answers = broker.read(topics.spec.requests), by_key(broker.read(topics.spec.answers))
    assert answers.keys() == {each.key().decode() for each in asked}
    assert all(len(set(values)) == 1 for values in answers.values())


def test_nothing_is_sent_or_committed_while_the_log_cannot_be_written(alone, broker, caplog):
    folder = log_folder(alone.settings, SPEC.name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("a file where the folder is to be")
    topics = Topics(broker, "unlogged")
    topics.ask("one", customer="u1")
    with streaming(alone, topics) as running:
        wait_until(lambda: "takes no lines" in caplog.text, PATIENCE)
        assert broker.count(topics.spec.answers) == 0
        assert broker.committed("unlogged", topics.spec.requests) == 0
        folder.unlink()
        topics.done()
        assert len(topics.answers(1)) == 1
        assert len(running.lines(kind="prediction")) == 1


def test_a_disk_that_never_takes_the_log_holds_nobody_up_for_ever(alone, broker, caplog):
    folder = log_folder(alone.settings, SPEC.name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("a file where the folder is to be")
    topics = Topics(broker, "stuck")
    topics.ask("one", customer="u1")
    with streaming(alone, topics, grace=0.2) as running:
        wait_until(lambda: "takes no lines" in caplog.text, PATIENCE)
    assert isinstance(running.raised[0], StreamError)
    assert "delivered again" in str(running.raised[0])
    assert broker.committed("stuck", topics.spec.requests) == 0


def test_an_answer_too_large_for_the_broker_is_told_as_a_dead_letter(alone, broker):
    topics = Topics(broker, "narrow", more={"config": {"message.max.bytes": 1500}})
    topics.ask("wide", customer="u1", k=100)
    topics.send(b"x" * 2000, "wide-and-bad")
    topics.ask("small", customer="u1", k=1)
    with streaming(alone, topics):
        topics.done()
    dead = {each.key(): (each.value(), dict(each.headers())["status"]) for each in topics.dead_letters(2)}
    assert dead[b"wide"] == (b'{"customer": "u1", "k": 100}', b"413")
    assert dead[b"wide-and-bad"] == (None, b"400"), "the reason without the request: it does not fit either"
    assert [each.key() for each in topics.answers(1)] == [b"small"]


def test_who_asks_a_customer_keyed_topic_twice_gets_two_answers(alone, broker):
    topics = Topics(broker, "customers", more={"identity": "offset"})
    for _ in range(2):
        topics.ask("u1", customer="u1", to={"partition": 0})
    with streaming(alone, topics):
        topics.done()
    said = topics.answers(2)
    assert sorted(each.key() for each in said) == [b"customers.requests-0-0", b"customers.requests-0-1"]
    assert len({json.loads(each.value())["prediction_id"] for each in said}) == 2


def test_a_variable_that_is_not_set_is_named_before_anything_is_read(alone, broker):
    topics = Topics(broker, "unset", more={"config": {"sasl.password": "${NO_SUCH_PASSWORD}"}})
    with streaming(alone, topics) as running:
        running.thread.join(PATIENCE)
    assert "NO_SUCH_PASSWORD" in str(running.raised[0])
    assert "serving.streaming of ranker" in str(running.raised[0])
