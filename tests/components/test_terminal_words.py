"""What a run says in the terminal: a failed check, a pool it waits for, and that it lacks its days; no more."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from ml_assets.config.settings import PROJECT, Settings
from ml_assets.execution.runs import dagster_home

GRAPH = """
import dagster as dg

DAYS = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-01-05")

@dg.asset(pool="narrow")
def waiting(context) -> None:
    context.log.info("at work")

@dg.asset_check(asset=waiting)
def holds() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN, description="it does not hold")

@dg.asset(partitions_def=DAYS)
def by_day() -> None: ...

defs = dg.Definitions(
    assets=[waiting, by_day], asset_checks=[holds], executor=dg.in_process_executor,
    jobs=[dg.define_asset_job("plain", [waiting]), dg.define_asset_job("days", [by_day])],
)
"""
HELD = """
import sys
import dagster as dg
from ml_assets.execution.dead_runs import here
with dg.DagsterInstance.get() as instance:
    run = dg.DagsterRun("another", status=dg.DagsterRunStatus.STARTED, tags=here())
    instance.add_run(run)
    instance.event_log_storage.set_concurrency_slots("narrow", 1)
    print(instance.event_log_storage.claim_concurrency_slot("narrow", run.run_id, "step").is_claimed, flush=True)
    sys.stdin.read()
    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
"""


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    home = tmp_path_factory.mktemp("words")
    settings = Settings(home=home, shop="simulated")
    (home / "words.py").write_text(GRAPH)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", "set below")
        dagster_home(settings)
        path = os.pathsep.join((str(PROJECT), str(home)))
        return {**os.environ, **settings.exported, "PYTHONPATH": path, "PYTHONWARNINGS": "ignore"}


def launched(env: dict[str, str], job: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "dagster", "job", "execute", "-m", "words", "-j", job]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_it_says_what_it_waits_for_and_which_check_failed_and_little_else(env: dict[str, str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HELD], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        with launched(env, "plain") as run:
            assert run.stderr is not None
            said = run.stderr.readline()
            holder.communicate()  # it lets go and ends
            rest = run.stderr.read()
    assert re.fullmatch(r"waiting waits for the pool narrow: run \w+ \(another\) has it\n", said)
    assert run.returncode == 0
    assert "at work" in rest
    assert "! check holds on waiting (warn only): it does not hold" in rest
    assert "DEBUG" not in said + rest
    assert len(rest.splitlines()) < 6


def test_a_job_of_days_without_a_day_is_refused_in_words(env: dict[str, str]) -> None:
    with launched(env, "days") as run:
        said = run.communicate()[1]
    assert run.returncode == 2
    assert re.search(r"Error: the job days works on days: say --partition .*newest day is 2026-01-04", said)
    assert "Traceback" not in said


def test_an_asset_of_days_without_a_day_is_refused_in_words(env: dict[str, str]) -> None:
    command = [sys.executable, "-m", "dagster", "asset", "materialize", "-m", "words", "--select", "by_day"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "is made by day: say --partition" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_event_log_keeps_what_the_terminal_does_not_say(env: dict[str, str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DAGSTER_HOME", "ML_ASSETS_EVENT_LOG"):
            patch.setenv(name, env[name])
        with dg.DagsterInstance.get() as instance:
            (run,) = [each for each in instance.get_runs() if each.job_name == "plain"]
            kinds = {
                each.dagster_event.event_type_value for each in instance.all_logs(run.run_id) if each.dagster_event
            }
    assert {"STEP_START", "STEP_SUCCESS", "ASSET_MATERIALIZATION", "ASSET_CHECK_EVALUATION"} <= kinds


def test_the_instances_yaml_is_left_alone_when_it_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "set below")
    settings = Settings(home=tmp_path, shop="simulated")
    path = dagster_home(settings) / "dagster.yaml"
    first = path.stat()
    dagster_home(settings)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (first.st_ino, first.st_mtime_ns)
    with path.open() as reader:  # somebody reads while another version comes
        path.write_text(path.read_text() + "# older\n")
        dagster_home(settings)
        assert path.read_text() == (PROJECT / "dagster.yaml").read_text()
        assert reader.read().endswith("# older\n"), "what is read is whole: the file is replaced, not written over"
