"""Requests for predictions: which fields a model's endpoint takes, and how wrong ones are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ml_assets.config.keys import KeyForm
from ml_assets.config.numbers import Bounds
from serving.config import ServiceConfig
from serving.model import prior
from serving.model.events import request_form
from serving.model.kinds import Events, Lists, kind_of
from serving.model.prior import Prior, PriorError
from serving.schemas import Refusal

CONFIG = ServiceConfig(model_name="tips", task="binary", keys=("company", "area"), request=("fare", "time_of_day"))
WHOLE = {"company": "Yellow", "area": None, "fare": 12, "time_of_day": None}


def parsed(body: dict[str, Any]) -> Any:
    return kind_of(CONFIG).parse(json.dumps(body).encode(), None, replay=False)[0]


def test_a_request_names_every_key_and_number_null_where_unknown() -> None:
    request = parsed({**WHOLE, "event": "trip-1"})
    assert request.given(("company", "area", "fare", "tolls")) == {
        "company": "Yellow", "area": None, "fare": 12, "tolls": None,
    }  # fmt: skip
    assert (request.customer, request.key_names) == ("trip-1", ("company", "area"))


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"fare": "12"}, {"fare"}),
        ({"company": 7, "tips": 3}, {"company", "tips"}),
        ({"time": "2026-01-01T00:00:00Z"}, {"time"}),
        ({"fare": True}, {"fare"}),
    ],
)
def test_a_wrong_field_is_named(changes: dict[str, Any], fields: set[str]) -> None:
    with pytest.raises(Refusal) as refused:
        parsed({**WHOLE, **changes})
    assert refused.value.status == 422
    assert {field for field, _ in refused.value.fields} == fields


def test_a_missing_field_is_named() -> None:
    with pytest.raises(Refusal) as refused:
        parsed({"company": "Yellow", "fare": 3})
    assert {field for field, _ in refused.value.fields} == {"area", "time_of_day"}


FORMS = {"area": KeyForm(number=True, missing="unknown"), "company": KeyForm(missing="unknown")}


def keys_of(**said: Any) -> Any:
    config = CONFIG.model_copy(update={"forms": FORMS})
    body = json.dumps({**WHOLE, **said}).encode()
    return kind_of(config).parse(body, None, replay=False)[0].given(("company", "area"))


@pytest.mark.parametrize(
    ("said", "read"),
    [(348, "348"), (348.0, "348"), ("348.0", "348"), (" 348 ", "348"), (None, "unknown"), ("", "unknown"),
     ("unknown", "unknown"), (9007199254740999, "9007199254740999"), (-1, "-1")],
)  # fmt: skip
def test_a_key_of_numbers_has_one_form(said: Any, read: str) -> None:
    assert keys_of(area=said) == {"company": "Yellow", "area": read}


@pytest.mark.parametrize("said", [348.5, "348.5", "007", "9.007E+15", 1e16, True, "north", [1], "1" * 65])
def test_what_cannot_be_meant_as_a_number_is_refused(said: Any) -> None:
    with pytest.raises(Refusal) as refused:
        keys_of(area=said)
    assert [field for field, _ in refused.value.fields] == ["area"]
    assert "whole number" in refused.value.fields[0][1]


def test_a_text_stays_a_text_and_a_missing_one_is_that_of_training() -> None:
    assert [keys_of(company=said)["company"] for said in ("007", "7", "7.0", " Café ", None)] == [
        "007", "7", "7.0", "Café", "unknown",
    ]  # fmt: skip


BOUNDS = {"fare": Bounds(above=0, max=500), "time_of_day": Bounds(min=0, max=23, whole=True)}


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ({"fare": 0.01, "time_of_day": 23.0}, {}),
        ({"fare": None, "time_of_day": None}, {}),
        ({"fare": 0}, {"fare": "a number of more than 0 and at most 500"}),
        ({"fare": 501, "time_of_day": 1.5}, {"fare": "a number of more than 0 and at most 500",
                                             "time_of_day": "a whole number of at least 0 and at most 23"}),
    ],
)  # fmt: skip
def test_a_number_that_the_contract_sets_aside_is_refused(said: dict[str, Any], wrong: dict[str, str]) -> None:
    config = CONFIG.model_copy(update={"bounds": BOUNDS})
    body = json.dumps({**WHOLE, "time_of_day": 12, **said}).encode()
    try:
        kind_of(config).parse(body, None, replay=False)
    except Refusal as refused:
        assert dict(refused.fields) == {name: f"Input should be {asked}" for name, asked in wrong.items()}
        assert refused.status == 422
    else:
        assert not wrong


def test_not_a_number_is_refused() -> None:
    with pytest.raises(Refusal):
        kind_of(CONFIG).parse(b'{"company": null, "area": null, "fare": NaN, "time_of_day": 1}', None, replay=False)


def test_each_task_has_its_kind_and_its_requests() -> None:
    assert isinstance(kind_of(CONFIG), Events)
    assert isinstance(kind_of(ServiceConfig()), Lists)
    assert request_form(None, CONFIG) is request_form(None, CONFIG)


def test_without_a_model_the_prior_answers() -> None:
    made = kind_of(CONFIG).without(Prior(0.25), None, parsed(WHOLE), 1)
    assert (made.value, made.customer_known) == (0.25, False)


def test_the_prior_is_kept_and_a_broken_file_refused(tmp_path: Path) -> None:
    path = tmp_path / "prior.json"
    prior.save(Prior(0.25), path)
    assert kind_of(CONFIG).load(path) == Prior(0.25)
    for broken in (path.read_text().replace("0.25", "0.35"), '{"prior": 0.25}', '{"prior": "much"}'):
        path.write_text(broken)
        with pytest.raises(PriorError, match="deploy again"):
            prior.load(path)


@pytest.mark.parametrize("fare", [1e39, -1e308, 3.5e38])
def test_a_number_that_float32_cannot_hold_is_refused(fare: float) -> None:
    with pytest.raises(Refusal) as refused:
        parsed({**WHOLE, "fare": fare})
    assert [field for field, _ in refused.value.fields] == ["fare"]
    assert parsed({**WHOLE, "fare": 3.4e38}).given(("fare",)) == {"fare": 3.4e38}


@pytest.mark.parametrize("again", ['"area": "8"', '"fare": 12', '"event": "a", "event": "b"'])
def test_a_field_that_is_given_twice_is_refused(again: str) -> None:
    body = json.dumps(WHOLE)[:-1] + f", {again}}}"
    with pytest.raises(Refusal) as refused:
        kind_of(CONFIG).parse(body.encode(), None, replay=False)
    assert refused.value.status == 422
    assert refused.value.fields == ((again.split('"')[1], "Field is given more than once"),)
