"""Requests for predictions: which fields a model's endpoint takes, and how wrong ones are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from serving import prior
from serving.config import ServiceConfig
from serving.events import request_of
from serving.kinds import Events, Lists, kind_of
from serving.prior import Prior, PriorError
from serving.schemas import Refusal

CONFIG = ServiceConfig(model_name="tips", task="binary", keys=("company", "area"), request=("fare", "time_of_day"))
WHOLE = {"company": "Yellow", "area": None, "fare": 12, "time_of_day": None}


def parsed(body: dict[str, Any]) -> Any:
    return kind_of(CONFIG).parse(json.dumps(body).encode(), replay=False)[0]


def test_a_request_names_every_key_and_number_null_where_unknown() -> None:
    request = parsed({**WHOLE, "event": "trip-1"})
    assert request.given(("company", "area", "fare")) == ["Yellow", None, 12]
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


def test_not_a_number_is_refused() -> None:
    with pytest.raises(Refusal):
        kind_of(CONFIG).parse(b'{"company": null, "area": null, "fare": NaN, "time_of_day": 1}', replay=False)


def test_each_task_has_its_kind_and_its_requests() -> None:
    assert isinstance(kind_of(CONFIG), Events)
    assert isinstance(kind_of(ServiceConfig()), Lists)
    assert request_of(CONFIG) is request_of(CONFIG)


def test_without_a_model_the_prior_answers() -> None:
    made = kind_of(CONFIG).without(Prior(0.25), None, parsed(WHOLE), 1)
    assert (made.value, made.customer_known) == (0.25, False)


def test_the_prior_is_kept_and_a_broken_file_refused(tmp_path: Path) -> None:
    path = tmp_path / "prior.json"
    prior.save(Prior(0.25), path)
    assert kind_of(CONFIG).load(path) == Prior(0.25)
    path.write_text('{"prior": "much"}')
    with pytest.raises(PriorError, match="deploy again"):
        prior.load(path)
