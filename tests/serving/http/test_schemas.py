"""The request schema: what is valid is read as written, the rest is refused by a 4xx that names a field."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.config.keys import SPACES
from serving.schemas import MAX_BODY, REPORTED, RecommendRequest, Refusal, parse_request

MAX_K = 100

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=64)
ids = texts.map(lambda text: text.strip(SPACES)).filter(bool)
events = st.fixed_dictionaries({"product": ids, "event_type": st.sampled_from(["view", "cart", "purchase"])})
requests = st.fixed_dictionaries(
    {"customer": ids},
    optional={
        "k": st.integers(1, MAX_K),
        "session": st.lists(events, max_size=5),
        "candidates": st.lists(ids, min_size=1, max_size=5),
    },
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


def encode(value) -> bytes:
    return json.dumps(value).encode()


@given(requests)
def test_a_valid_request_is_read_as_it_was_written(fields):
    request = parse_request(encode(fields), MAX_K)
    assert request.model_dump(exclude_unset=True) == fields


@given(ids, st.sampled_from(["", " ", "\u00a0", "\u3000 "]))
def test_an_identifier_is_what_ingestion_makes_of_it(name, space):
    said = f"{space}{name}{space}"
    event = {"product": said, "event_type": "view"}
    read = parse_request(encode({"customer": said, "session": [event], "candidates": [said]}), MAX_K)
    assert (read.customer, read.session[0].product, read.candidates) == (name, name, [name])


@pytest.mark.parametrize("said", ["", "  ", "a\x00b", "a\tb", "x" * 65, 7, None])
def test_what_is_no_identifier_is_refused_by_its_field(said):
    with pytest.raises(Refusal) as caught:
        parse_request(encode({"customer": "u", "candidates": [said]}), MAX_K)
    assert [field for field, _ in caught.value.fields] == ["candidates.0"]


@given(anything)
def test_anything_else_is_a_4xx_with_a_reason_never_a_crash(value):
    try:
        request = parse_request(encode(value), MAX_K)
    except Refusal as refusal:
        assert refusal.status in {400, 422}
        assert refusal.body()["fields"]
    else:
        assert isinstance(request, RecommendRequest)


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_never_crash(body):
    try:
        parse_request(body, MAX_K)
    except Refusal as refusal:
        assert refusal.status in {400, 422}


@given(requests, st.text(min_size=1), anything)
def test_one_unknown_field_is_enough_to_be_refused_by_name(fields, name, value):
    if name in RecommendRequest.model_fields:
        return
    try:
        parse_request(encode(fields | {name: value}), MAX_K)
    except Refusal as refusal:
        if refusal.status == 422:  # NaN and lone surrogates are no JSON in the first place
            assert name[:64] in [field for field, _ in refusal.fields]
    else:
        raise AssertionError("an unknown field was accepted")


@given(requests, st.integers().filter(lambda k: not 1 <= k <= MAX_K))
def test_k_out_of_range_is_refused(fields, k):
    with pytest.raises(Refusal) as caught:
        parse_request(encode(fields | {"k": k}), MAX_K)
    assert [field for field, _ in caught.value.fields] == ["k"]


def test_the_bound_of_k_is_the_models():
    assert parse_request(b'{"customer": "u", "k": 7}', 7).k == 7
    with pytest.raises(Refusal, match="not valid") as caught:
        parse_request(b'{"customer": "u", "k": 8}', 7)
    assert caught.value.fields == (("k", "Input should be less than or equal to 7"),)


def test_an_oversize_body_is_a_413():
    with pytest.raises(Refusal) as caught:
        parse_request(b" " * (MAX_BODY + 1), MAX_K)
    assert caught.value.status == 413


def test_a_hostile_body_does_not_buy_a_large_answer():
    body = encode({"customer": "u"} | {f"x{number}" * 50: 1 for number in range(100)})
    with pytest.raises(Refusal) as caught:
        parse_request(body, MAX_K)
    assert len(caught.value.fields) == REPORTED
    assert len(json.dumps(caught.value.body())) < 2000


def test_deep_nesting_is_refused_not_followed():
    with pytest.raises(Refusal) as caught:
        parse_request(b'{"customer":' * 10_000, MAX_K)
    assert caught.value.status == 400
