"""Answers made for whoever brings the request: whatever the bytes are, there is an answer or a reason."""

import json
import string

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from served_shop import copy_of

from serving.config import ServiceConfig
from serving.http.runtime import Runtime
from serving.schemas import Refusal

CONFIG = ServiceConfig(
    model_name="ranker", feature_service="product_recommender", exploration=0.5, feature_timeout_ms=5000
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
requests = st.fixed_dictionaries({}, optional=dict.fromkeys(("customer", "k", "session", "candidates", "time"), values))
good = st.builds(lambda name, k: {"customer": name, "k": k}, st.text(string.printable, min_size=1), st.integers(1, 100))


@pytest.fixture(scope="module")
def recommend(parts, tmp_path_factory):
    """What answers, with a version that serves and half of the answers explored."""
    shop = copy_of(parts, tmp_path_factory.mktemp("recommend"))
    shop.point(shop.pointer(shop.version(1)))
    runtime = Runtime(CONFIG, shop.settings)
    runtime.start()
    yield runtime.recommend
    runtime.stop()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60) | (requests | good).map(lambda body: json.dumps(body).encode()))
@example(b'{"customer": "\\ud800"}')
@example(b'{"customer": "\xff"}')
def test_any_bytes_become_an_answer_or_a_refusal_that_can_be_sent_and_logged(recommend, body):
    try:
        made = recommend.make(body, "0" * 32)
    except Refusal as refusal:
        made = recommend.refused(refusal, 0.0)
        assert 400 <= refusal.status < 500
    assert made.reply.status != 500
    assert made.reply.json()
    assert orjson.dumps({**made.line, "feature_names": None}, option=orjson.OPT_SERIALIZE_NUMPY)


@given(st.uuids(), st.integers(1, 20))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_same_request_under_the_same_id_is_the_same_answer(recommend, name, k):
    body = json.dumps({"customer": "u1", "k": k}).encode()
    first, again = (recommend.make(body, name.hex) for _ in range(2))
    assert first.reply.json() == again.reply.json()
    assert first.line["propensities"] == again.line["propensities"]


def test_different_ids_explore_differently(recommend):
    body = b'{"customer": "u1", "k": 3}'
    last = {recommend.make(body, f"{number:032x}").reply.body["products"][-1] for number in range(60)}
    assert len(last) > 5
