"""Messages of a topic: every offset once, poison included, whatever the broker remembers."""

import json
from datetime import timedelta

import pytest
from sourced_shop import sourced_shop
from tiny_shop import at, day, event

from ml_assets.config.ingestion_error import IngestionError

pytest.importorskip("confluent_kafka", reason="confluent-kafka is not installed (extra `kafka`)")

from broker import Broker

from ml_assets.ingestion.connectors import kafka

POISON = [
    None, b"", b"   ", b"null", b"[1]", b"{broken", b"\xff\xfe{", b"two\nlines", b'{"a": "\\ud800"}', b"x\x00y", b"12",
]  # fmt: skip


@pytest.fixture(scope="module")
def broker():
    return Broker()


@pytest.fixture
def topic(request):
    return "events." + request.node.name.replace("[", ".").rstrip("]")[:100]


@pytest.fixture
def new_shop(tmp_path, broker, topic):
    def make(**changes):
        source = {"kind": "kafka", "bootstrap": "${KAFKA}", "topic": topic, "piece_rows": 3, **changes}
        return sourced_shop(tmp_path / "home", source, {"KAFKA": broker.bootstrap})

    return make


@pytest.fixture
def shop(new_shop):
    return new_shop()


def offsets(shop):
    return [(int(row["kafka_partition"]), int(row["kafka_offset"])) for _, row in shop.landed()]


def test_messages_land_by_day_under_names_that_say_their_offsets(shop, broker, topic):
    for number in range(4):
        broker.send_event(topic, f"e{number}", when=at(0))
    broker.send_event(topic, "e4", when=at(1))
    broker.send_event(topic, "e5", when=at(1), partition=2)
    landed = shop.land(1)
    assert (landed.rows, landed.days) == (6, (day(0), day(1)))
    assert sorted(offsets(shop)) == [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (2, 0)]
    names = [path.name for path in shop.landed_files() if path.parent.name == "2026-01-02"]
    assert names[-1] == f"{topic}-p00002-{0:020d}-{0:020d}.parquet"


def test_a_second_landing_goes_on_at_the_next_offset(shop, broker, topic):
    broker.send_event(topic, "a")
    shop.land()
    assert shop.land().pieces == 0
    broker.send_event(topic, "b")
    broker.send_event(topic, "c", partition=3)
    assert shop.land().rows == 2
    assert sorted(offsets(shop)) == [(0, 0), (0, 1), (3, 0)]


def test_late_messages_land_in_the_day_they_say(new_shop, broker, topic):
    shop = new_shop(day="ts")
    broker.send_event(topic, event("a", 1), when=at(1))
    shop.land(1)
    broker.send_event(topic, event("b", 0), when=at(1))
    broker.send(topic, b"no json", when=at(1))
    assert shop.land(1).days == (day(0), day(1))
    assert [row["kafka_value"] for each, row in shop.landed() if each == "2026-01-02"][-1] == "no json"


def test_a_message_of_a_day_to_come_belongs_to_the_day_it_came(new_shop, broker, topic):
    shop = new_shop(day="ts")
    broker.send_event(topic, event("a", 400), when=at(0))
    assert shop.land(1).days == (day(0),)


def test_json_messages_are_ingested_and_poison_is_set_aside_not_lost(shop, broker, topic):
    shop.open_days(1)
    broker.send(topic, json.dumps(event("a") | {"new_key": [1]}).encode(), key=b"k", headers=[("trace", b"7")])
    for value in POISON:
        broker.send(topic, value)
    incomplete = {name: value for name, value in event("b").items() if name not in {"country", "session_id"}}
    broker.send(topic, json.dumps(incomplete).removesuffix("}").encode() + b', "price": 99}')
    shop.land()
    report = shop.ingest(0)
    assert [note.partition(" of ")[0] for note in report.notes] == ["1 messages"]
    assert (report.rows_good, report.reasons) == (2, {"unreadable": len(POISON)})
    assert shop.ids() == ["a", "b"]
    assert shop.good()[1]["country"] is None
    raw = [json.loads(row["raw"])["line"] for row in shop.bad()]
    assert raw == [
        "",
        "",
        "   ",
        "null",
        "[1]",
        "{broken",
        "\\xff\\xfe{",
        "two\nlines",
        '{"a": "\\ud800"}',
        "x\x00y",
        "12",
    ]


def test_a_day_of_poison_alone_is_a_day(shop, broker, topic):
    shop.open_days(2)
    broker.send(topic, b"?", when=at(1))
    shop.land(1)
    assert [each.rows_quarantined for each in shop.ingest(0, 1).days] == [0, 1]


def test_what_kafka_knows_of_a_message_can_be_mapped(tmp_path, broker, topic):
    mapping = {
        "event_id": "kafka_partition || '-' || kafka_offset", "event_ts": "kafka_timestamp",
        "customer_id": "kafka_key", "product_id": "split_part(kafka_value, ';', 1)",
        "event_type": "split_part(kafka_value, ';', 2)", "session_id": "kafka_headers ->> '$[0][1]'",
        "quantity": "1", "price": "'10.00'", "country": "null",
    }  # fmt: skip
    source = {"kind": "kafka", "bootstrap": broker.bootstrap, "topic": topic, "format": "text"}
    shop = sourced_shop(tmp_path / "home", source, mapping=mapping)
    shop.open_days(1)
    broker.send(topic, b"P1;view", key=b"C9", headers=[("session", b"S9")])
    shop.land()
    shop.ingest(0)
    [row] = shop.good()
    assert (row["event_id"], row["customer_id"], row["session_id"], row["event_ts"]) == ("0-0", "C9", "S9", at(0))


def test_the_same_messages_in_other_pieces_give_the_same_good_rows(tmp_path, broker, topic):
    for number in range(9):
        broker.send_event(topic, f"e{number % 7}", partition=number % 3)
    parts = []
    for size in (1, 4, 100):
        source = {"kind": "kafka", "bootstrap": broker.bootstrap, "topic": topic, "piece_rows": size}
        shop = sourced_shop(tmp_path / str(size), source)
        shop.open_days(1)
        shop.land()
        shop.ingest(0)
        parts.append(shop.part(0).read_bytes())
    assert parts[0] == parts[1] == parts[2]


def test_what_waits_is_seen_by_the_watermarks(shop, broker, topic):
    broker.send_event(topic, "a")
    waiting = shop.unlanded(at(1, "04:00:00"))
    assert waiting is not None
    shop.land()
    assert shop.unlanded(at(1, "04:00:00")) is None
    broker.send_event(topic, "b", partition=1)
    assert shop.unlanded(at(1, "04:00:00")) not in {None, waiting}


def test_the_brokers_own_memory_of_the_group_is_not_asked(shop, broker, topic):
    from confluent_kafka import Consumer, TopicPartition

    for name in "abc":
        broker.send_event(topic, name)
    other = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "ml-assets-landing", "log_level": 0})
    other.commit(offsets=[TopicPartition(topic, 0, 3)], asynchronous=False)
    other.close()
    assert shop.land().rows == 3


def pretend_watermarks(monkeypatch, low, high):
    monkeypatch.setattr(kafka.KafkaConnector, "_watermarks", lambda self: {0: (low, high)})


def test_messages_that_were_deleted_before_they_landed_are_told(new_shop, broker, topic, monkeypatch):
    for name in "abcdef":
        broker.send_event(topic, name)
    shop = new_shop()
    shop.land()
    for name in "gh":
        broker.send_event(topic, name)
    pretend_watermarks(monkeypatch, 7, 8)
    with pytest.raises(IngestionError, match="messages 6 to 6 of partition 0 were deleted before they were landed"):
        shop.land()
    accepted = new_shop(gaps="accept").land()
    assert accepted.rows == 1
    assert "messages 6 to 6 of partition 0 were deleted" in accepted.notes[0]


def test_a_topic_made_anew_is_not_taken_for_the_old_one(shop, broker, topic, monkeypatch):
    broker.send_event(topic, "a")
    shop.land()
    pretend_watermarks(monkeypatch, 0, 0)
    with pytest.raises(IngestionError, match="made anew"):
        shop.land()


def test_a_broker_that_stays_away_is_an_error(tmp_path):
    source = {"kind": "kafka", "bootstrap": "127.0.0.1:1", "topic": "t", "patience": "0.5 seconds"}
    with pytest.raises(IngestionError, match="could not be read, 2 times"):
        sourced_shop(tmp_path, source).land()


def test_settings_librdkafka_does_not_know_are_named(tmp_path, broker):
    source = {"kind": "kafka", "bootstrap": broker.bootstrap, "topic": "t", "config": {"sasl.nope": 1}}
    with pytest.raises(IngestionError, match="librdkafka refuses its settings"):
        sourced_shop(tmp_path, source).land()


def test_a_consumer_that_breaks_off_loses_nothing(shop, broker, topic, monkeypatch):
    for number in range(8):
        broker.send_event(topic, f"e{number}", partition=number % 2)
    read, calls = kafka.KafkaConnector._take, []

    def breaks_off(self, *arguments):
        calls.append(1)
        if len(calls) == 3:
            raise kafka.UnreachableError("gone")
        return read(self, *arguments)

    monkeypatch.setattr(kafka.KafkaConnector, "_take", breaks_off)
    assert shop.land(0, timedelta(days=1, hours=1)).rows == 8
    assert sorted(offsets(shop)) == [(partition, offset) for partition in range(2) for offset in range(4)]
