"""A data scientist's own table and model: YAML and SQL in a copy of the project, materialized by its own jobs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from bakery import PORT_OFFSET
from project_copy import python

ITEMS = (
    *("determinism", "save and load", "parity", "strangers", "latency", "baseline", "shuffled labels"),
    "planted leak",
)


@pytest.fixture
def ask(runs: dict[str, dict[str, Any]], port: int) -> Iterator[Any]:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False) as client:
        yield lambda body: client.post("/demand", json=body)


def test_the_table_becomes_a_champion(runs: dict[str, dict[str, Any]]) -> None:
    assert [run["failed"] for run in runs.values()] == [{}, {}]
    ingested, trained = runs["bakery_ingest"], runs["bakery_train"]
    assert set(ingested["made"]) >= {"bakery/sales", "mart_sales", "feat_item_sales"}
    assert set(trained["made"]) >= {"bakery/online_store", "demand/training_set", "demand/champion"}
    assert trained["made"]["demand/champion"]["promoted"] is True
    assert "beats" in trained["made"]["demand/champion"]["reason"]


def test_every_check_passes(runs: dict[str, dict[str, Any]]) -> None:
    checks = runs["bakery_ingest"]["checks"] | runs["bakery_train"]["checks"]
    assert {
        "bakery/sales:nothing_lost",
        "bakery/online_store:offline_equals_online",
        "demand/training_set:no_leak",
        "demand/training_set:labels_differ",
        "demand/evaluation:beats_reference",
        "demand/deployment:answers",
    } <= set(checks)
    assert [name for name, passed in checks.items() if not passed] == []


def test_nothing_of_the_shop_was_touched(runs: dict[str, dict[str, Any]]) -> None:
    made = {*runs["bakery_ingest"]["made"], *runs["bakery_train"]["made"]}
    assert {key for key in made if key.startswith(("shop/", "product_recommender/", "stg_", "taxi"))} == set()


def test_the_service_answers_with_the_champion(ask: Any, runs: dict[str, dict[str, Any]]) -> None:
    champion = runs["bakery_train"]["made"]["demand/champion"]["version"]
    hot, cold = (ask({"item": "ice", "price": 2.0, "warmth": warmth}).json() for warmth in (28.0, 2.0))
    assert (hot["model_version"], hot["degraded"], hot["known"]) == (champion, [], True)
    assert hot["value"] > cold["value"] + 10
    stranger = ask({"item": "bagel", "price": None, "warmth": None, "event": "b-1"})
    assert (stranger.status_code, stranger.json()["known"], stranger.json()["event"]) == (200, False, "b-1")


def test_a_wrong_request_is_refused_with_its_fields(ask: Any) -> None:
    answer = ask({"item": "ice", "price": "two", "sold": 3})
    assert answer.status_code == 422
    assert {each["field"] for each in answer.json()["fields"]} == {"price", "warmth", "sold"}


def test_answers_are_logged_with_what_they_were_made_from(ask: Any, project: Path) -> None:
    said = ask({"item": "ice", "price": 3.0, "warmth": 20.0}).json()
    logs = project / "var" / "simulated" / "models" / "demand"
    found: list[dict[str, Any]] = []
    for _ in range(300):
        lines = [line for path in logs.rglob("*.jsonl") for line in path.read_text().splitlines()]
        found = [one for line in lines if (one := json.loads(line)).get("prediction_id") == said["prediction_id"]]
        if found:
            break
        time.sleep(0.1)
    (line,) = found
    assert (line["keys"], line["request"]) == ({"item": "ice"}, {"price": 3.0, "warmth": 20.0})
    assert line["value"] == said["value"]
    assert len(line["features"][0]) == 4  # price, warmth, days_sold, mean_sold


def test_the_champion_conforms_and_the_deployment_stays_as_it_was(
    runs: dict[str, dict[str, Any]], project: Path, port: int
) -> None:
    home, stays = project / "var" / "simulated", ("models", "lake", "feast", "bentoml")
    files = [file for name in stays for file in (home / name).rglob("*") if file.is_file()]
    before = {file: file.stat().st_mtime_ns for file in files if "predictions" not in file.parts}
    done = python(project, "-m", "ml_assets", "check-model", "demand", port=port - PORT_OFFSET)
    assert done.returncode == 0, done.stdout + done.stderr
    champion = runs["bakery_train"]["made"]["demand/champion"]["version"]
    found = json.loads((home / "models" / "demand" / "conformance" / champion / "result.json").read_text())
    assert {each["item"]: each["outcome"] for each in found["verdicts"]} == dict.fromkeys(ITEMS, "passed")
    assert {file: file.stat().st_mtime_ns for file in before} == before
    alive = httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5, trust_env=False).json()
    assert alive["model_version"] == champion  # the running server was left alone


def test_a_model_without_a_champion_says_what_to_run(project: Path, runs: dict[str, dict[str, Any]]) -> None:
    done = python(project, "-m", "ml_assets", "check-model", "product_recommender")
    assert done.returncode == 1
    assert "run `make demo`" in done.stdout
