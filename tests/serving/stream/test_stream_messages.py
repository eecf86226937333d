"""A request's identity, time and what becomes of it: the same for every delivery, different from every other's."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("confluent_kafka", reason="confluent-kafka is not installed (extra `kafka`)")

from ml_assets.config.streaming_config import StreamingSpec
from serving.schemas import MAX_BODY, Refusal, Reply, parse_feedback
from serving.stream.messages import AHEAD, MAX_KEY, Place, StreamRequest, answer, dead_letter

SPEC = StreamingSpec(bootstrap="here:1", requests="asked", answers="answered", dead_letters="dead", group="rankers")
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)

places = st.builds(Place, st.sampled_from(["asked", "asked-0", "a"]), st.integers(0, 12), st.integers(0, 2**40))
keys = st.none() | st.binary(max_size=12) | st.builds(lambda place: str(place).encode(), places)
ways = st.sampled_from(["key", "offset"])


def request(place=None, key=b"r1", value=b"{}", at=NOW):
    return StreamRequest(place or Place("asked", 0, 7), key, value, int(at.timestamp() * 1000) if at else None)


@given(places, keys, st.binary(), st.binary(), ways)
def test_a_repeated_delivery_has_the_same_id_and_key_whatever_else_differs(place, key, value, other, by):
    first, again = request(place, key, value), request(place, key, other, at=NOW + timedelta(hours=3))
    assert first.prediction_id(by, "ranker") == again.prediction_id(by, "ranker")
    assert first.identity(by) == again.identity(by)
    said = {"prediction_id": first.prediction_id(by, "ranker"), "feedback_token": "0" * 64}
    parse_feedback(json.dumps({**said, "events": [{"product": "p", "event_type": "click"}]}).encode())


@given(places, keys, places, keys, ways)
def test_two_ids_are_equal_only_when_the_requests_are_the_same(place, key, other_place, other_key, by):
    one, two = request(place, key), request(other_place, other_key)
    keyed = by == "key" and bool(key or other_key)
    same = (place.topic == other_place.topic and key == other_key) if keyed else place == other_place
    assert (one.prediction_id(by, "ranker") == two.prediction_id(by, "ranker")) is same
    assert one.prediction_id(by, "ranker") != one.prediction_id(by, "other")


@given(st.datetimes(datetime(2026, 1, 1), datetime(2026, 5, 1)), st.timedeltas(timedelta(0), timedelta(days=9)))
def test_a_request_was_asked_at_one_time_however_late_it_is_delivered(at, later):
    asked = request(at=at.replace(tzinfo=UTC))
    try:
        said = asked.asked_at(SPEC.max_age, at.replace(tzinfo=UTC) + later)
    except Refusal:
        assert later > SPEC.max_age
    else:
        assert later <= SPEC.max_age + timedelta(milliseconds=1)
        assert abs(said - at.replace(tzinfo=UTC)) < timedelta(milliseconds=1)


@pytest.mark.parametrize("at", [None, NOW - SPEC.max_age - timedelta(seconds=1), NOW + AHEAD + timedelta(seconds=1)])
def test_a_time_that_cannot_be_is_refused(at):
    with pytest.raises(Refusal) as refused:
        request(at=at).asked_at(SPEC.max_age, NOW)
    assert (refused.value.status, refused.value.fields[0][0]) == (422, "timestamp")


def test_milliseconds_beyond_any_calendar_are_refused_like_others():
    for milliseconds in (-(2**62), 2**62):
        with pytest.raises(Refusal):
            StreamRequest(Place("asked", 0, 0), None, b"", milliseconds).asked_at(SPEC.max_age, NOW)


def test_a_very_long_key_is_refused():
    request(key=b"k" * MAX_KEY).check_key()
    with pytest.raises(Refusal):
        request(key=b"k" * (MAX_KEY + 1)).check_key()


def test_an_answer_is_the_endpoints_json_under_the_requests_key():
    said = answer(SPEC, request(), Reply(200, {"products": ["p1"]}))
    assert (said.topic, said.key, said.value) == ("answered", b"r1", b'{"products":["p1"]}')
    assert said.headers == {"request": "asked-0-7"}
    assert answer(SPEC, request(key=None), Reply(200, {})).key == b"asked-0-7"


def test_a_dead_letter_is_the_request_as_it_came_but_never_larger_than_a_request_may_be():
    value = b"x" * (MAX_BODY + 1)
    said = dead_letter(SPEC, request(key=b"k" * 2000, value=value), Reply(413, {"error": "too large"}))
    assert (said.topic, len(said.key), said.value) == ("dead", MAX_KEY, value[:MAX_BODY])
    assert said.headers == {
        "request": "asked-0-7", "status": "413", "reason": '{"error":"too large"}', "bytes": str(len(value)),
    }  # fmt: skip
