"""The whole circle of a model beside the shop: asked, watched, its world turns, trained again, served, taken back."""

from __future__ import annotations

import datetime as dt
import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bakery import FIRST, PORT_OFFSET, make_project
from project_copy import free_port, python, run_script

TRAINED, TURNED, LAST = 60, 68, 80
"""Days the first champion knew of, the day on which ice begins to be for the cold, days in all."""
SHOPS = 30
REPLAY = {"ML_ASSETS_REPLAY": "true"}

WATCHED = """\
  monitoring: {drift: {min_rows: 50}}
  retraining: {split: {train: 8, validation: 2, test: 2, holdout: 0}}
"""
WATCH = """
import json, sys
import dagster as dg
from ml_assets.definitions import defs
from ml_assets.config.model_spec import model_spec
from ml_assets.registry.promote import champion
from ml_assets.retraining.journal import retraining_journal
from ml_assets.execution.runs import range_tags
from ml_assets.config.settings import load_settings

found, settings, spec = defs(), load_settings(), model_spec("demand")
repository = found.get_repository_def()

def run(name, tags, instance, **options):
    job = found.resolve_job_def(name)
    done = job.execute_in_process(instance=instance, tags=tags, raise_on_error=False, **options)
    failed = {e.step_key: e.step_failure_data.error.to_string() for e in done.all_events if e.is_step_failure}
    judged = done.get_asset_check_evaluations()
    checks = {f"{c.asset_key.to_user_string()}:{c.check_name}": [c.passed, c.description] for c in judged}
    made = {e.asset_key.to_user_string(): {k: v.value for k, v in e.materialization.metadata.items()
            if isinstance(v.value, str | int | float)} for e in done.get_asset_materialization_events()}
    print(json.dumps({"job": name, "tags": tags, "failed": failed, "checks": checks, "made": made}))

def drift_sensor(instance):
    context = dg.build_sensor_context(instance=instance, repository_def=repository)
    asked = repository.get_sensor_def("drift_sensor").evaluate_tick(context)
    return [each for each in asked.run_requests if each.tags["ml_assets/model"] == "demand"], asked.skip_message

with dg.instance_for_test() as instance:
    run("bakery_ingest", range_tags(*sys.argv[1:3]), instance)
    run("bakery_watch", range_tags(*sys.argv[1:3]), instance)
    asked, why = drift_sensor(instance)
    print(json.dumps({"job": "drift_sensor", "asked": [each.tags for each in asked], "why": why}))
    for each in asked:
        selected = list(each.asset_selection)
        run(each.job_name, dict(each.tags), instance, asset_selection=selected, run_config=each.run_config)
    asked, why = drift_sensor(instance)
    print(json.dumps({"job": "again", "asked": [each.tags for each in asked], "why": why}))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = make_project(tmp_path_factory.mktemp("watched") / "project")
    source = made / "sources" / "bakery.yaml"
    source.write_text(re.sub("(calendar: {start: .*), end: .*}", r"\1}", source.read_text()))
    model = made / "ml_assets" / "defs" / "models" / "demand" / "defs.yaml"
    model.write_text(f"{model.read_text()}{WATCHED}")
    write_turning_sales(made / "sales.parquet")
    yield made
    python(made, "-m", "serving", "stop")


@pytest.fixture(scope="module")
def port() -> int:
    return free_port(PORT_OFFSET)


def write_turning_sales(path: Path) -> None:
    """Sales as the bakery's, until the day from which on ice is for the cold."""
    rng, rows = np.random.default_rng(4), []
    for number in range(LAST):
        for shop in range(SHOPS):
            for item, usual in (("roll", 20), ("cake", 8), ("ice", 2)):
                warmth, price = float(rng.uniform(0, 30)), float(rng.choice([2.0, 3.0]))
                felt = warmth if number < TURNED else 30 - warmth
                wanted = usual + (felt * (1.5 if price == 2.0 else 0.5) if item == "ice" else 0)
                sold = max(round(wanted + rng.normal()), 0)
                said = {"day": nth(number), "item": item, "price": price, "warmth": warmth, "sold": sold}
                rows.append(
                    {"sale_id": f"{nth(number)}-{shop}-{item}", **{name: str(each) for name, each in said.items()}}
                )
    pq.write_table(pa.Table.from_pylist(rows), path)


def nth(number: int) -> str:
    return str(FIRST + dt.timedelta(days=number))


def said(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"job"')]
    assert found, done.stderr[-3000:]
    return {each["job"]: each for each in found}


@pytest.fixture(scope="module")
def ask(project: Path, port: int) -> Iterator[Any]:
    """Ask the server of the first champion about an event."""
    days = nth(0), nth(TRAINED - 1)
    trained = said(python(project, "-c", run_script("bakery"), *days, port=port, **REPLAY))
    assert [run["failed"] for run in trained.values()] == [{}, {}]
    with httpx.Client(base_url=f"http://127.0.0.1:{port + PORT_OFFSET}", timeout=10, trust_env=False) as client:
        yield lambda body: client.post("/demand", json=body)


@pytest.fixture(scope="module")
def first(ask: Any) -> str:
    """The champion before the world turns."""
    return str(ask({"item": "ice", "price": 2.0, "warmth": 28.0}).json()["model_version"])


@pytest.fixture(scope="module")
def watched(project: Path, port: int, ask: Any, first: str) -> dict[str, Any]:
    """What the jobs and the sensor said after every sale of a month was predicted, some of them unnamed."""
    for at, sale in enumerate(pq.read_table(project / "sales.parquet").to_pylist()):
        if sale["day"] >= nth(TRAINED):
            body = {"item": sale["item"], "price": float(sale["price"]), "warmth": float(sale["warmth"])}
            named = {"event": sale["sale_id"]} if at % 20 else {}
            assert ask({**body, **named, "time": f"{sale['day']}T08:00:00Z"}).status_code == 200
    return said(python(project, "-c", WATCH, nth(TRAINED), nth(LAST - 1), port=port, **REPLAY))


def reports(project: Path, name: str) -> dict[str, dict[str, Any]]:
    folder = project / "var" / "simulated" / "models" / "demand" / "monitoring" / name
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def test_every_answer_is_collected_once_and_labelled(watched: dict[str, Any]) -> None:
    watch = watched["bakery_watch"]
    assert watch["failed"] == {}
    made = watch["made"]["demand/predictions"]
    asked = (LAST - TRAINED) * SHOPS * 3
    assert made["answers"] == made["dagster/row_count"] >= asked
    assert made["labelled"] == made["named"] == pytest.approx(asked * 0.95, abs=30)
    assert watch["checks"]["demand/predictions:exactly_once"][0]


def test_features_were_served_as_training_sees_them(watched: dict[str, Any], project: Path) -> None:
    passed, text = watched["bakery_watch"]["checks"]["demand/skew:served_equals_recomputed"]
    assert passed, text
    found = reports(project, "skew")[nth(TURNED)]
    assert {each["name"] for each in found["features"]} == {
        "request__price", "request__warmth", "item_sales__days_sold", "item_sales__mean_sold",
    }  # fmt: skip
    assert found["rows"] == SHOPS * 3


def test_quality_falls_when_the_world_turns_and_nothing_else_does(watched: dict[str, Any], project: Path) -> None:
    quality, drift = reports(project, "quality"), reports(project, "drift")
    assert {day for day, each in quality.items() if each["loss"]} == {nth(at) for at in range(TURNED + 1, LAST)}
    assert not any(each["persistent"] for each in drift.values())
    assert drift[nth(LAST - 1)]["state"] == "judged"
    before = quality[nth(TURNED - 1)]
    assert (before["state"], before["skill"] > 0.9, before["unnamed"] > 0) == ("judged", True, True)
    assert watched["bakery_watch"]["checks"]["demand/quality:no_loss"][0] is False


def test_the_loss_is_the_cause_of_a_retraining_that_is_promoted(watched: dict[str, Any], first: str) -> None:
    [asked] = watched["drift_sensor"]["asked"]
    assert asked["ml_assets/cause"] == "quality"
    assert f"loss of quality since {nth(TURNED)}" in asked["ml_assets/reason"]
    retrain = watched["retrain"]
    assert retrain["failed"] == {}
    assert retrain["made"]["demand/champion"]["promoted"] is True
    assert retrain["made"]["demand/champion"]["version"] != first
    assert watched["again"]["asked"] == [], watched["again"]["why"]


def test_the_new_version_serves_and_is_taken_back_by_one_command(
    watched: dict[str, Any], ask: Any, project: Path, port: int, first: str
) -> None:
    cold, hot = (ask({"item": "ice", "price": 2.0, "warmth": warmth}).json() for warmth in (2.0, 28.0))
    assert cold["model_version"] == watched["retrain"]["made"]["demand/champion"]["version"]
    assert cold["value"] > hot["value"], "ice is for the cold"
    done = python(project, "-m", "ml_assets", "rollback", "--model", "demand", "--reason", "a test", port=port)
    assert done.returncode == 0, done.stderr
    for _ in range(300):  # the workers look every moment
        if (now := ask({"item": "ice", "price": 2.0, "warmth": 28.0}).json())["model_version"] == first:
            break
        time.sleep(0.1)
    assert now["model_version"] == first


LOOK = """
from ml_assets.retention.places import files, unknown
from ml_assets.config.settings import load_settings
import json, os
settings = load_settings()
others = [str(path) for path, _ in files(settings) if path.stat().st_mode & 0o077 and "/bentoml/" not in str(path)]
shared = [str(path) for path in settings.shop_home.rglob("*") if path.is_dir() and path.stat().st_mode & 0o077]
shared = [path for path in shared if "/bentoml/bentos/" not in path]
print(json.dumps({"job": "look", "unknown": unknown(settings), "readable": others, "shared": shared}))
"""
DELIVER = """
import json, sys
from datetime import date
from ml_assets.config.sources import source_of
from ml_assets.ingestion.ingest import ingest
from ml_assets.config.settings import load_settings
settings, day = load_settings(), date.fromisoformat(sys.argv[1])
found = ingest(source_of("bakery", settings), "sales", settings, day, day)
print(json.dumps({"job": "deliver", "in": found.rows_in, "good": found.rows_good, "removed": found.rows_removed}))
"""


def test_every_file_lies_in_a_known_place_and_is_for_its_user_alone(watched: dict[str, Any], project: Path) -> None:
    found = said(python(project, "-c", LOOK))["look"]
    assert found["unknown"] == []
    assert found["readable"] == []
    assert found["shared"] == []


def test_an_item_that_is_erased_is_nowhere_and_stays_away(watched: dict[str, Any], project: Path, port: int) -> None:
    command = ("-m", "ml_assets", "erase", "cake", "--entity", "item")
    before = python(project, *command, "--dry-run", port=port)
    places = {line.partition(":")[0] for line in before.stdout.splitlines()}
    assert places >= {
        "raw tables and quarantine", "dbt's tables, the offline store", "online store", "training sets",
        "prediction log", "collected log", "daily predictions",
    }  # fmt: skip
    done = python(project, *command, port=port)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "it is nowhere" in python(project, *command, "--dry-run", port=port).stdout
    again = said(python(project, "-c", DELIVER, nth(LAST - 1)))["deliver"]
    assert (again["in"], again["good"], again["removed"]) == (3 * SHOPS, 2 * SHOPS, {"erased": SHOPS})
    assert "it is nowhere" in python(project, *command, "--dry-run", port=port).stdout, "delivered again, and away"
