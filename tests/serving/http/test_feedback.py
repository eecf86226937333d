"""`POST /feedback`: taken and logged as outcomes, or refused by the name of what is wrong."""

import json
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.schemas import MAX_EVENTS, Refusal, parse_feedback

CLICK = {"product": "p001", "event_type": "click"}


def given_feedback(**changes):
    return {"prediction_id": uuid.uuid4().hex, "feedback_token": "0" * 64, "events": [CLICK]} | changes


def of(shown, *events):
    """What became of an answer, as its caller can say it."""
    return {name: shown[name] for name in ("prediction_id", "feedback_token")} | {"events": events or [CLICK]}


def post(server, body):
    return server.client.post("/feedback", json=body)


def test_what_customers_did_is_taken_and_logged_line_by_line(server, ask):
    shown = ask(customer="u1", k=2).json()
    before = server.metric('feedback_events_total{event_type="click"}')
    events = [
        {"product": shown["products"][0], "event_type": "click", "time": "2026-03-01T10:00:00+02:00"},
        {"product": shown["products"][1], "event_type": "purchase"},
    ]
    answer = post(server, of(shown, *events))
    assert (answer.status_code, answer.json()) == (202, {"prediction_id": shown["prediction_id"], "accepted": 2})
    wanted = {"kind": "outcome", "prediction_id": shown["prediction_id"]}
    first = server.line(**wanted, event_type="click")
    assert set(first) == {"kind", "prediction_id", "product", "event_type", "time", "logged_at"}
    assert (first["product"], first["time"]) == (shown["products"][0], "2026-03-01T08:00:00+00:00")
    second = server.line(**wanted, event_type="purchase")
    assert second["time"] == second["logged_at"]
    assert server.metric('feedback_events_total{event_type="click"}') == before + 1


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 422, "prediction_id"),
        ([], 422, "body"),
        (given_feedback(prediction_id="no-such"), 422, "prediction_id"),
        (given_feedback(prediction_id="A" * 32), 422, "prediction_id"),
        (given_feedback(prediction_id="0" * 33), 422, "prediction_id"),
        (given_feedback(prediction_id=7), 422, "prediction_id"),
        ({"prediction_id": "0" * 32, "events": [CLICK]}, 422, "feedback_token"),
        (given_feedback(feedback_token=None), 422, "feedback_token"),
        (given_feedback(feedback_token="0" * 63), 422, "feedback_token"),
        (given_feedback(feedback_token="ö" * 64), 422, "feedback_token"),
        (given_feedback(), 403, "feedback_token"),
        (given_feedback(events=[]), 422, "events"),
        (given_feedback(events=[CLICK] * (MAX_EVENTS + 1)), 422, "events"),
        (given_feedback(events=[CLICK | {"event_type": "view"}]), 422, "events.0.event_type"),
        (given_feedback(events=[CLICK | {"product": ""}]), 422, "events.0.product"),
        (given_feedback(events=[CLICK | {"product": "p" * 65}]), 422, "events.0.product"),
        (given_feedback(events=[CLICK, CLICK | {"price": 1}]), 422, "events.1.price"),
        (given_feedback(events=[CLICK | {"time": "yesterday"}]), 422, "events.0.time"),
        (given_feedback(events=[CLICK | {"time": 7}]), 422, "events.0.time"),
        (given_feedback(customer="u1"), 422, "customer"),
    ],
)
def test_bad_feedback_is_refused_and_the_field_is_named(server, body, status, field):
    answer = post(server, body)
    assert answer.status_code == status
    assert field in [problem["field"] for problem in answer.json()["fields"]]


def test_the_token_of_an_answer_is_good_for_that_answer_alone(server, ask):
    one, other = (ask(customer="u1", k=2).json() for _ in range(2))
    refused, taken = (server.metric(f'feedback_requests_total{{status="{status}"}}') for status in (403, 202))
    token = one["feedback_token"]
    for wrong in (other["feedback_token"], token[:-1] + ("0" if token[-1] != "0" else "1"), token[::-1]):
        answer = post(server, of(one) | {"feedback_token": wrong})
        assert answer.status_code == 403
        assert [each["field"] for each in answer.json()["fields"]] == ["feedback_token"]
    assert server.metric('feedback_requests_total{status="403"}') == refused + 3
    assert post(server, of(other)).status_code == 202
    server.line(kind="outcome", prediction_id=other["prediction_id"])
    assert server.lines(kind="outcome", prediction_id=one["prediction_id"]) == [], "what was refused is not logged"
    assert server.metric('feedback_requests_total{status="202"}') == taken + 1


def test_no_json_oversize_and_the_wrong_method_are_refused_and_counted(server):
    refused = {status: server.metric(f'feedback_requests_total{{status="{status}"}}') for status in (400, 405, 413)}
    assert server.client.post("/feedback", content=b"{").status_code == 400
    assert server.client.post("/feedback", content=b"x" * 200_000).status_code == 413
    answer = server.client.get("/feedback")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    for status, before in refused.items():
        assert server.metric(f'feedback_requests_total{{status="{status}"}}') == before + 1


ids = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=64)
events = st.fixed_dictionaries({"product": ids, "event_type": st.sampled_from(["click", "cart", "purchase"])})
feedback = st.fixed_dictionaries(
    {
        "prediction_id": st.from_regex(r"[0-9a-f]{32}", fullmatch=True),
        "feedback_token": st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
        "events": st.lists(events, min_size=1, max_size=5),
    }
)


@given(feedback)
def test_valid_feedback_is_read_as_it_was_written(fields):
    assert parse_feedback(json.dumps(fields).encode()).model_dump(exclude_unset=True) == fields


@given(st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_anything_else_is_a_4xx_never_a_crash(body):
    try:
        parse_feedback(body)
    except Refusal as refusal:
        assert refusal.status in {400, 422}
    else:
        raise AssertionError("nonsense was accepted")


def test_when_the_log_is_full_nothing_is_taken_and_the_caller_is_told(tmp_path):
    from serving.http.feedback import Feedback
    from serving.http.feedback_token import Tokens
    from serving.http.metrics import Metrics
    from serving.log.prediction_log import PredictionLog

    log = PredictionLog(tmp_path, capacity=1)
    tokens = Tokens(b"k" * 32, "ranker")
    taker = Feedback(log, Metrics(), tokens, replay=False)
    told = given_feedback(events=[CLICK, CLICK])
    with pytest.raises(Refusal) as caught:
        taker.handle(json.dumps(told | {"feedback_token": tokens.of(told["prediction_id"])}).encode())
    log.close()
    assert caught.value.status == 503
    assert list(tmp_path.glob("*.jsonl")) == []
