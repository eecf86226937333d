"""A drill on real servers under load: promoted, rolled back, and then everything that used to bring the bad one back.

A regression and a binary model of the bakery, in a copy of the project, through the real graph.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from bakery import DAYS, FIRST, MODEL, make_project
from project_copy import free_port, python

MODELS = {"demand": 20, "crowded": 21}
CROWDED = (
    MODEL.replace("name: demand", "name: crowded")
    .replace("task: regression", "task: binary")
    .replace("label: sold", "label: crowded")
    .replace("How many pieces", "Whether many pieces")
    .replace("port_offset: 20", "port_offset: 21")
    .replace("post_outcome_columns: [left_over]", "post_outcome_columns: [left_over, sold]")
)
OLD_FORM = {"item": "ice", "price": 2.0, "warmth": 28.0}
PRELUDE = """
import json, sys
import dagster as dg
from ml_assets.definitions import defs
from ml_assets.execution.runs import range_tags
from ml_assets.config.model_spec import model_spec
from ml_assets.config.settings import load_settings

found, settings = defs(), load_settings()

def run(job, tags, **options):
    with dg.DagsterInstance.ephemeral() as instance:
        done = found.resolve_job_def(job).execute_in_process(
            instance=instance, tags=tags, raise_on_error=False, **options)
    failed = {e.step_key: e.step_failure_data.error.to_string() for e in done.all_events if e.is_step_failure}
    judged = done.get_asset_check_evaluations()
    checks = {f"{c.asset_key.to_user_string()}:{c.check_name}": [c.passed, c.description] for c in judged}
    made = {e.asset_key.to_user_string(): {k: v.value for k, v in e.materialization.metadata.items()
            if isinstance(v.value, str | int | float)} for e in done.get_asset_materialization_events()}
    print(json.dumps({"job": job, "failed": failed, "checks": checks, "made": made}))

models = [model_spec(name) for name in ("demand", "crowded")]
"""
TRAIN = """
run("bakery_ingest", range_tags(*sys.argv[1:3]))
run("bakery_train", {})
"""
PROMOTE = """
from ml_assets.storage.files import write_text_atomically
from ml_assets.evaluation.result import GateDecision
from ml_assets.registry.mlflow_client import experiment, open_mlflow
from ml_assets.registry.promote import apply_decision, champion
from ml_assets.registry.versions import publish_version

client = open_mlflow(settings)
for spec in models:
    first = champion(settings, spec)
    started = client.create_run(experiment(client, settings, spec.name))
    second = publish_version(
        settings, spec.name, first.booster_file.read_text(), started.info.run_id, features=first.features,
        params=first.params, training_set=first.training_set, metrics=first.metrics,
        created_from={**first.created_from, "second": True},
    )
    decision = GateDecision(candidate=second.version, champion=first.version, reference="champion", promote=True,
                            reason="for the drill", checks=())
    apply_decision(settings, spec, second, decision)
    reference = settings.shop_home / "references" / spec.name / "champion.json"  # as the asset `champion` leaves it
    write_text_atomically(reference, json.dumps({"version": second.version, "path": str(second.path)}))
"""
DAILY = """
run("bakery_daily", {"dagster/partition": sys.argv[1]})
"""
REDEPLOY = """
keys = [dg.AssetKey([spec.name, name]) for spec in models for name in ("service", "deployment")]
run("bakery_train", {}, asset_selection=keys)
"""
REGISTRY = """
from ml_assets.release import standing_champion
print(json.dumps({"job": "registry", **{spec.name: standing_champion(settings, spec).version for spec in models}}))
"""


class Shop:
    """The copied project with its two servers."""

    def __init__(self, project: Path, port: int) -> None:
        self.project, self.port = project, port

    def script(self, text: str, *arguments: str) -> list[dict[str, Any]]:
        done = python(self.project, "-c", PRELUDE + text, *arguments, port=self.port)
        found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"job"')]
        assert done.returncode == 0, done.stderr[-3000:]
        return found

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return python(self.project, "-m", "ml_assets", *arguments, port=self.port)

    def url(self, model: str) -> str:
        return f"http://127.0.0.1:{self.port + MODELS[model]}"

    def serves(self, model: str) -> str:
        said = httpx.get(f"{self.url(model)}/readyz", trust_env=False, timeout=5).json()
        assert (said["status"], said["problem"]) == ("ready", None)
        return str(said["model_version"])

    def ask(self, model: str, body: dict[str, Any]) -> httpx.Response:
        return httpx.post(f"{self.url(model)}/{model}", json=body, trust_env=False, timeout=10)


class Load:
    """Somebody who asks both servers all the time, in the form of the version that serves."""

    def __init__(self, shop: Shop) -> None:
        self.seen: Counter[tuple[str, int]] = Counter()
        self._shop, self._stop = shop, threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(model,)) for model in MODELS]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, model: str) -> None:
        with httpx.Client(base_url=self._shop.url(model), trust_env=False, timeout=10) as client:
            while not self._stop.wait(0.05):
                reply = client.post(f"/{model}", json=OLD_FORM)
                self.seen[model, reply.status_code] += 1


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    project = make_project(tmp_path_factory.mktemp("drill") / "project")
    mart = project / "dbt_project" / "models" / "bakery" / "mart_sales.sql"
    mart.write_text(
        mart.read_text().replace(
            "price, warmth, sold,", "price, warmth, sold, ((warmth > 15) = (price < 2.5))::int as crowded,"
        )
    )
    described = mart.with_suffix(".yml")
    described.write_text(f"{described.read_text()}      - {{name: crowded, description: Whether many were sold}}\n")
    folder = project / "ml_assets" / "defs" / "models" / "crowded"
    folder.mkdir()
    (folder / "defs.yaml").write_text(CROWDED.lstrip())
    made = Shop(project, free_port(max(MODELS.values())))
    yield made
    python(project, "-m", "serving", "stop")


@pytest.fixture(scope="module")
def first(shop: Shop) -> dict[str, str]:
    """The versions that serve after the first training."""
    ran = shop.script(TRAIN, str(FIRST), last_day())
    assert [each["failed"] for each in ran] == [{}, {}]
    assert {name for name in ran[1]["made"] if name.endswith("/deployment")} == {
        f"{each}/deployment" for each in MODELS
    }
    return {model: shop.serves(model) for model in MODELS}


@pytest.fixture(scope="module")
def drilled(shop: Shop, first: dict[str, str]) -> dict[str, Any]:
    """Promote a second version of each model, roll back, run the night, all under load."""
    with Load(shop) as load:
        [promoted] = shop.script(PROMOTE + DAILY, last_day())
        second = {model: shop.serves(model) for model in MODELS}
        said = {model: shop.command("rollback", "--model", model, "--reason", "it is worse").stdout for model in MODELS}
        wait(lambda: {model: shop.serves(model) for model in MODELS} == first)
        *nights, registry = shop.script(DAILY + DAILY + REGISTRY, last_day())
    return {
        "second": second, "said": said, "promoted": promoted, "nights": nights, "registry": registry, "seen": load.seen,
    }  # fmt: skip


def last_day() -> str:
    return str(FIRST.fromordinal(FIRST.toordinal() + DAYS - 1))


def wait(until: Any, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_promoted_version_serves(drilled: dict[str, Any], first: dict[str, str]) -> None:
    assert drilled["promoted"]["failed"] == {}
    assert all(drilled["second"][model] != first[model] for model in MODELS)


def test_the_nights_after_a_rollback_leave_the_good_version_serving(
    shop: Shop, drilled: dict[str, Any], first: dict[str, str]
) -> None:
    assert {model: shop.serves(model) for model in MODELS} == first
    for night in drilled["nights"]:
        assert night["failed"] == {}
        for model in MODELS:
            made = {name: night["made"][f"{model}/{name}"] for name in ("service", "deployment", "batch_predictions")}
            assert made["deployment"]["version"] == made["batch_predictions"]["version"] == first[model]
            assert made["service"]["built_in"] == first[model]
            assert all("it is worse" in each["refused"] for each in made.values())
            passed, why = night["checks"][f"{model}/deployment:champion_allowed"]
            assert (passed, "it is worse" in why) == (False, True)


def test_no_request_fails_meanwhile(drilled: dict[str, Any]) -> None:
    assert {status for _, status in drilled["seen"]} == {200}
    assert all(drilled["seen"][model, 200] > 100 for model in MODELS)


def test_the_registry_has_followed(drilled: dict[str, Any], first: dict[str, str]) -> None:
    assert {model: drilled["registry"][model] for model in MODELS} == first


def test_a_server_that_was_killed_comes_back_with_the_good_version(
    shop: Shop, drilled: dict[str, Any], first: dict[str, str]
) -> None:
    for model in MODELS:
        handle = json.loads((shop.project / f"var/simulated/models/{model}/serving/server.json").read_text())
        for process in [psutil.Process(handle["pid"]), *psutil.Process(handle["pid"]).children(recursive=True)]:
            process.kill()
    [ran] = shop.script(REDEPLOY)
    assert ran["failed"] == {}
    assert {model: shop.serves(model) for model in MODELS} == first


def test_there_is_no_release_of_a_model_that_has_no_clicks(shop: Shop, drilled: dict[str, Any]) -> None:
    refused = shop.command("release", drilled["second"]["demand"], "--model", "demand")
    assert (refused.returncode, "has no releases" in refused.stdout) == (1, True)
    assert not (shop.project / "var/simulated/models/demand/serving/release.json").exists()


def test_a_kept_champion_goes_on_when_the_yaml_changes(
    shop: Shop, drilled: dict[str, Any], first: dict[str, str]
) -> None:
    """A column that callers send becomes one that is known only afterwards; what serves was trained on it."""
    for model in MODELS:
        path = shop.project / "ml_assets" / "defs" / "models" / model / "defs.yaml"
        text = path.read_text().replace("request_features: [price, warmth]", "request_features: [price]")
        path.write_text(text.replace("post_outcome_columns: [left_over", "post_outcome_columns: [warmth, left_over"))
    with Load(shop) as load:
        ran, night = shop.script(REDEPLOY + DAILY, last_day())
    assert (ran["failed"], night["failed"]) == ({}, {})
    assert {status for _, status in load.seen} == {200}
    for model in MODELS:
        assert shop.serves(model) == first[model]
        said = shop.ask(model, OLD_FORM).json()
        assert (said["model_version"], said["degraded"]) == (first[model], [])
        refused = shop.ask(model, {"item": "ice", "price": 2.0})
        assert [each["field"] for each in refused.json()["fields"]] == ["warmth"], "the form belongs to the version"
        assert night["made"][f"{model}/batch_predictions"]["version"] == first[model]
    checked = shop.command("check-model", "demand")
    assert "Traceback" not in checked.stdout + checked.stderr
    assert checked.returncode == 0, checked.stdout[-3000:]


def test_a_damaged_journal_stands_in_nobodys_way(shop: Shop, drilled: dict[str, Any], first: dict[str, str]) -> None:
    """One altered byte in each journal: nights go on, a version can be named, and going back works."""
    for model in MODELS:
        home = shop.project / "var/simulated/models" / model
        for path in (home / "serving" / "history.jsonl", home / "releases.jsonl"):
            content = bytearray(path.read_bytes())
            content[content.index(b"reason") + 1] ^= 1
            path.write_bytes(bytes(content))
    with Load(shop) as load:
        [night] = shop.script(DAILY, last_day())
        assert {model: shop.serves(model) for model in MODELS} == first
        named = {
            model: shop.command("rollback", "--model", model, "--to", drilled["second"][model]) for model in MODELS
        }
        assert {model: shop.serves(model) for model in MODELS} == drilled["second"]
        back = {model: shop.command("rollback", "--model", model, "--to", first[model]) for model in MODELS}
        assert {model: shop.serves(model) for model in MODELS} == first
    assert {status for _, status in load.seen} == {200}
    assert night["failed"] == {}
    for done in (*named.values(), *back.values()):
        assert (done.returncode, "serves now" in done.stdout) == (0, True), done.stdout
        assert "history.jsonl, line 1" in done.stderr
