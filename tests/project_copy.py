"""A copy of the project for somebody's own files, and the jobs of a source run in it through the real graph."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from ml_assets.config.settings import PROJECT

HERE = Path(__file__).parent
FOLDERS = ("ml_assets", "feature_repo", "dbt_project", "shops", "sources", "serving")
_RUN = """
import json, sys
import dagster as dg
from ml_assets.definitions import defs
from ml_assets.execution.runs import range_tags

found = defs()
with dg.DagsterInstance.ephemeral() as instance:
    runs = {"SOURCE_ingest": range_tags(*sys.argv[1:3]), "SOURCE_train": {}}
    for job, tags in runs.items():
        done = found.resolve_job_def(job).execute_in_process(instance=instance, tags=tags, raise_on_error=False)
        failed = {e.step_key: e.step_failure_data.error.to_string() for e in done.all_events if e.is_step_failure}
        judged = done.get_asset_check_evaluations()
        checks = {f"{c.asset_key.to_user_string()}:{c.check_name}": c.passed or c.description.startswith("not judged")
                  for c in judged}
        made = {e.asset_key.to_user_string(): {k: v.value for k, v in e.materialization.metadata.items()
                if isinstance(v.value, str | int | float)} for e in done.get_asset_materialization_events()}
        print(json.dumps({"job": job, "ok": done.success, "failed": failed, "checks": checks, "made": made}))
"""


def run_script(source: str) -> str:
    """Python that runs both jobs of a source for the days `argv[1]` to `argv[2]` and prints a line of JSON for each."""
    return _RUN.replace("SOURCE", source)


def copy_project(folder: Path) -> Path:
    """Copy the project to `folder`, without what it has made; returns the folder."""
    for name in filter(lambda each: (PROJECT / each).is_dir(), FOLDERS):  # no source beside the shop: no folder
        ignored = shutil.ignore_patterns("__pycache__", "target", "logs")
        shutil.copytree(PROJECT / name, folder / name, ignore=ignored)
    for name in ("pyproject.toml", "dagster.yaml"):
        shutil.copyfile(PROJECT / name, folder / name)
    return folder


def environment(project: Path, port: int = 0) -> dict[str, str]:
    """What a process of the copied project has in its environment."""
    foreign = ("ML_ASSETS_", "DAGSTER_", "TAXI_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    env |= {
        "ML_ASSETS_HOME": str(project / "var"),
        "ML_ASSETS_THREADS": "1",
        "PYTHONPATH": os.pathsep.join((str(project), str(HERE))),
    }
    return env | ({"ML_ASSETS_PORT": str(port)} if port else {})


def python(project: Path, *arguments: str, port: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of the copied project."""
    command, env = [sys.executable, *arguments], environment(project, port) | variables
    return subprocess.run(
        command, cwd=project, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def run_jobs(project: Path, source: str, first: object, last: object, port: int) -> dict[str, dict[str, Any]]:
    """Run ingestion and training of a source; what each did, by the job's name."""
    done = python(project, "-c", run_script(source), str(first), str(last), port=port)
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"job"')]
    assert len(found) == 2, done.stderr[-3000:]
    return {each["job"]: each for each in found}


def free_port(offset: int = 0) -> int:
    """A port so that nobody listens on the one `offset` above it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1]) - offset
