"""Parity and the service: what is sound passes, and skew, NaN, silence and slowness are caught."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from pydantic import SecretStr

from ml_assets.conformance import answers
from ml_assets.conformance.context import Context
from ml_assets.conformance.parity import parity
from ml_assets.conformance.requests import STRANGER, strange_requests
from ml_assets.conformance.verdict import Outcome
from serving.deploy.environment import serving_environment
from serving.deploy.rehearsal import settings_aside


def test_its_server_reads_the_deployments_online_store_with_its_password(shop_champion: Context) -> None:
    redis = {"online_store_address": "redis://db:6379/1", "redis_password": SecretStr("s3cret")}
    real = shop_champion.settings.model_copy(update=redis)
    scratch = shop_champion.scratch.home
    environment = serving_environment(settings_aside(real, scratch, real.online_store))
    assert environment["ML_ASSETS_ONLINE_STORE"] == "redis://db:6379/1"
    assert environment["ML_ASSETS_REDIS_PASSWORD"] == "s3cret"
    assert environment["ML_ASSETS_HOME"] == str(scratch)


def test_a_sound_store_has_the_values_of_the_join(shop_champion: Context) -> None:
    found = parity(shop_champion)
    assert found.outcome is Outcome.PASSED, found.text
    assert found.figures["keys"] > 50


def test_a_skewed_online_store_is_caught(shop_champion: Context) -> None:
    from feature_repo.materialization import online_store
    from feature_repo.store import open_store
    from feature_repo.stores import wide_table
    from feature_repo.stores.wide import table_of

    store = open_store(shop_champion.settings)
    table = table_of(store.config, store.get_feature_view("product"))
    writer = wide_table.open_writer(shop_champion.settings.online_store)
    row = wide_table.row_column(table)
    writer.execute(f"update {table.table} set {row} = (select {row} from {table.table} limit 1)")
    writer.close()
    assert online_store(store).progress(store.config, table) is not None
    found = parity(shop_champion)
    assert found.outcome is Outcome.FAILED
    assert "product__" in found.text


def test_a_sound_service_answers_or_says_why(in_process: Context) -> None:
    found = answers.strangers(in_process)
    assert found.outcome is Outcome.PASSED, found.text
    assert found.figures["server_errors"] == 0
    assert found.figures["answered"] > 5


def test_answers_that_are_no_numbers_are_caught(in_process: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    from serving.model import scorer

    def unsure(loaded: Any, matrix: Any) -> Any:
        return np.full(len(matrix), np.nan, dtype=np.float32)

    monkeypatch.setattr(scorer, "_predict", unsure)
    for item in (answers.strangers, answers.latency):
        found = item(in_process)
        assert found.outcome is Outcome.FAILED
        assert "no numbers" in found.text


def test_a_stranger_taken_for_a_customer_is_caught(in_process: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    from serving.model import kinds

    honest = kinds.score

    def familiar(*given: Any, **named: Any) -> Any:
        return replace(honest(*given, **named), customer_known=True)

    monkeypatch.setattr(kinds, "score", familiar)
    found = answers.strangers(in_process)
    assert found.outcome is Outcome.FAILED
    assert "not marked as unknown" in found.text


def test_a_model_that_cannot_answer_is_caught(in_process: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    from serving.model import kinds

    monkeypatch.setattr(kinds, "score", lambda *given, **named: 1 / 0)
    found = answers.strangers(in_process)
    assert found.outcome is Outcome.FAILED
    assert "no model answered" in found.text


def replying(status: int, body: dict[str, Any]) -> httpx.Client:
    """A service that says the same to everybody."""
    return httpx.Client(
        base_url="http://same", transport=httpx.MockTransport(lambda asked: httpx.Response(status, json=body))
    )


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (500, {"error": "sorry"}, "status 500"),
        (422, {"error": "no"}, "naming no field"),
        (422, {"error": "no", "fields": [{"field": "shoe_size", "problem": "odd"}]}, "naming ['shoe_size']"),
    ],
)
def test_replies_that_help_nobody_are_caught(
    shop_champion: Context, status: int, body: dict[str, Any], said: str
) -> None:
    shop_champion.client = replying(status, body)
    found = answers.strangers(shop_champion)
    assert found.outcome is Outcome.FAILED
    assert said in found.text


def test_what_is_slower_than_promised_is_caught(in_process: Context) -> None:
    assert answers.latency(in_process).figures["requests"] == 1000
    promised = in_process.spec.serving.model_copy(update={"p99_ms": 1e-6})
    in_process.spec = in_process.spec.model_copy(update={"serving": promised})
    found = answers.latency(in_process)
    assert found.outcome is Outcome.FAILED
    assert "promised" in found.text


def test_requests_of_labelled_events_cover_every_key_and_number(champion_of: Any) -> None:
    from ml_assets.config.model_spec import Task

    subject = champion_of(Task.BINARY)
    subject.asked = [{"place": "north", "size": 1.5, "hour": None}]
    made = strange_requests(subject)
    assert len({one.what for one in made}) == len(made)
    named = {field for one in made for field in one.fields}
    assert named == {"place", "size", "hour", "colour", "body"}
    unknown = [json.loads(one.body) for one in made if one.unknown]
    assert {"place": STRANGER, "size": 1.5, "hour": None} in unknown
    assert dict.fromkeys(("place", "size", "hour")) in unknown


def test_a_server_of_its_own_answers_and_ends(shop_champion: Context) -> None:
    with shop_champion.ends:
        assert shop_champion.client.get("/readyz").json()["model_version"] == shop_champion.version.version
        found = answers.strangers(shop_champion)
        assert found.outcome is Outcome.PASSED, found.text
        home = str(shop_champion.scratch.home)
        family = [each for each in psutil.process_iter(["cmdline"]) if home in str(each.info)]
        assert family
    assert not [each for each in family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
