"""The job `rollback` from the pages: at once, past a queue that is full and without the daemon."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ml_assets.config.settings import PROJECT, Settings
from ml_assets.registry.history import write_pointer
from ml_assets.registry.pointer import make_pointer, pointer_path, require_pointer
from ml_assets.registry.versions import publish_version

MODEL = "product_recommender"
AS_A_PAGE = """
import asyncio, json, sys, time
import dagster as dg
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_graphql.schema import create_schema
from dagster_graphql.version import __version__

LAUNCH = '''mutation ($given: ExecutionParams!) { launchRun(executionParams: $given) {
  __typename ... on LaunchRunSuccess { run { runId status } } ... on PythonError { message }
  ... on RunConfigValidationInvalid { errors { message } } } }'''
schema = create_schema()

def launch(context, job, config):
    selector = {"repositoryLocationName": "ml_assets", "repositoryName": "__repository__", "jobName": job}
    given = {"selector": selector, "runConfigData": config, "mode": "default"}
    asked = schema.execute_async(LAUNCH, context_value=context.create_request_context(), variables={"given": given})
    done = asyncio.run(asked)
    assert not done.errors, done.errors
    return done.data["launchRun"]

with dg.DagsterInstance.get() as instance:
    target = WorkspaceFileTarget(["workspace.yaml"])
    with WorkspaceProcessContext(instance, target, version=__version__) as context:
        queued = [launch(context, "release", {})["run"] for _ in range(3)]
        back = launch(context, "rollback", json.loads(sys.argv[1]))
        deadline = time.monotonic() + 120
        while not (run := instance.get_run_by_id(back["run"]["runId"])).is_finished and time.monotonic() < deadline:
            time.sleep(0.2)
        said = [e.user_message for e in instance.all_logs(run.run_id) if e.dagster_event is None]
        limit = instance.get_concurrency_config().run_queue_config.max_concurrent_runs
        kept = [instance.get_run_by_id(each["runId"]).status.value for each in queued]
        print(json.dumps({"status": run.status.value, "said": said, "queued": kept, "limit": limit}))
"""


def test_a_rollback_from_the_pages_waits_neither_for_the_queue_nor_for_the_daemon(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", shop="simulated", threads=1)
    settings.online_store.parent.mkdir(parents=True)
    settings.online_store.write_bytes(b"sqlite")
    index = settings.model_home(MODEL) / "indexes" / "monday"
    index.mkdir(parents=True)
    (index / "arrays").write_text("monday")
    versions = []
    for text in ("a", "b"):
        ref = publish_version(
            settings, MODEL, f"{text}\n", "run", features=("a",), params={}, training_set="t", metrics={},
            created_from={},
        )  # fmt: skip
        pointer = make_pointer(
            model_name=MODEL, model_version=ref.version, version_folder=ref.path, index_folder=index,
            online_store=settings.online_store, as_of=datetime(2026, 3, 2), deployed_at=datetime.now(UTC),
        )  # fmt: skip
        write_pointer(pointer_path(settings, MODEL), pointer)
        versions.append(ref.version)
    said = as_a_page(settings, {"model": MODEL, "reason": "errors", "to": versions[0]})
    assert said["status"] == "SUCCESS", said
    assert any("no server runs: it serves from the next start" in line for line in said["said"])
    assert require_pointer(pointer_path(settings, MODEL)).model_version == versions[0]
    assert (said["queued"], said["limit"]) == (["QUEUED"] * 3, 2), "every other job still waits for its turn"


def as_a_page(settings: Settings, config: dict[str, str]) -> dict[str, object]:
    """Launch what a page launches, with the project's `dagster.yaml` and no daemon."""
    environment = {**os.environ, "ML_ASSETS_HOME": str(settings.home), "ML_ASSETS_SHOP": settings.shop}
    command = [sys.executable, "-m", "ml_assets", "env"]
    exported = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True)
    for line in exported.stdout.splitlines():
        name, _, value = line.removeprefix("export ").partition("=")
        environment[name] = value.strip("'")
    given = json.dumps({"ops": {"roll_back_model": {"config": config}}})
    command = [sys.executable, "-c", AS_A_PAGE, given]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(done.stderr[-3000:])
    [line] = [line for line in done.stdout.splitlines() if line.startswith('{"status"')]
    found: dict[str, object] = json.loads(line)
    return found
