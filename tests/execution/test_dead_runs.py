"""A run that is killed holds nothing: its steps end with it, it is marked failed, and the next run goes on."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import dagster as dg
import psutil
import pytest
from dagster._daemon.monitoring.run_monitoring import monitor_started_run

from ml_assets.config.settings import PROJECT, Settings
from ml_assets.defs.requests import busy, under_way
from ml_assets.execution.dead_runs import CLOCK_SECONDS, MACHINE, end_dead_runs, is_dead
from ml_assets.execution.runs import dagster_home, execute_job, free_what_dead_runs_hold

GRAPH = "tests.killed_graph"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an instance of its own, with the project's `dagster.yaml`."""
    settings = Settings(home=tmp_path, shop="simulated")
    monkeypatch.setenv("ML_ASSETS_HOME", str(tmp_path))
    monkeypatch.setenv("ML_ASSETS_EVENT_LOG", str(settings.dagster_home / "history"))
    monkeypatch.setenv("DAGSTER_HOME", "dagster_home sets it, the patch takes it back")
    dagster_home(settings)
    free_what_dead_runs_hold()
    return settings.dagster_home


@contextmanager
def working(
    home: Path, job: str, *command: str, own_group: bool = False
) -> Iterator[tuple[subprocess.Popen[bytes], psutil.Process]]:
    """A run, and the process of its step, in the middle of a step that holds a pool."""
    (home / "step").unlink(missing_ok=True)
    with (home / "run.log").open("w") as log:
        ours = [sys.executable, "-m", "ml_assets.execution.job", GRAPH, job, '{"ml_assets/model": "m"}']
        run = subprocess.Popen(
            command or ours, cwd=PROJECT, stdout=log, stderr=subprocess.STDOUT, start_new_session=own_group
        )
    try:
        while not (home / "step").exists():
            assert run.poll() is None, (home / "run.log").read_text()
            time.sleep(0.05)
        yield run, psutil.Process(int((home / "step").read_text()))
    finally:
        run.kill()
        run.wait()


def kill(run: subprocess.Popen[bytes]) -> None:
    run.send_signal(signal.SIGKILL)
    run.wait()


def held(instance: dg.DagsterInstance) -> list[str]:
    return [slot.run_id for slot in instance.event_log_storage.get_concurrency_info("held").claimed_slots]


@pytest.mark.parametrize("job", ["ingest", "land"])
def test_after_a_kill_the_next_run_succeeds(home: Path, job: str) -> None:
    with working(home, job) as (run, _):
        kill(run)
    (home / "go").touch()
    again = execute_job(job, {}, home / "again.log", definitions=GRAPH)
    assert again.succeeded, (home / "again.log").read_text()
    with dg.DagsterInstance.get() as instance:
        statuses = [run.status for run in instance.get_runs()]
        assert statuses == [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
        assert held(instance) == []


def test_after_a_kill_of_dagsters_own_command_the_same_command_succeeds(home: Path) -> None:
    command = (sys.executable, "-m", "dagster", "job", "execute", "-m", GRAPH, "-j", "ingest")
    with working(home, "ingest", *command, own_group=True) as (run, _):
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    (home / "go").touch()
    again = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False)
    assert again.returncode == 0, again.stderr
    with dg.DagsterInstance.get() as instance:
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
        assert held(instance) == []


def test_a_step_ends_with_its_run(home: Path) -> None:
    with working(home, "ingest") as (run, step):
        assert step.pid != run.pid
        kill(run)
        psutil.wait_procs([step], timeout=60)
        assert not step.is_running()


COMMAND = """
import sys
from pathlib import Path
from ml_assets.execution.runs import execute_job
execute_job("ingest", {}, Path(sys.argv[1]), definitions="tests.killed_graph")
"""


def test_a_run_ends_with_its_command_and_the_next_one_succeeds(home: Path) -> None:
    with psutil.Popen([sys.executable, "-c", COMMAND, str(home / "run.log")], cwd=PROJECT) as command:
        try:
            while not (home / "step").exists():
                assert command.poll() is None, (home / "run.log").read_text()
                time.sleep(0.05)
            (run, *_) = [each for each in command.children() if "ml_assets.execution.job" in each.cmdline()]
            family = [run, *run.children(recursive=True)]
        finally:
            command.kill()  # the command alone
    assert psutil.wait_procs(family, timeout=60)[1] == []
    (home / "go").touch()
    assert execute_job("ingest", {}, home / "again.log", definitions=GRAPH).succeeded
    with dg.DagsterInstance.get() as instance:
        assert held(instance) == []


def test_a_dead_run_is_not_busy_and_a_live_one_is(home: Path) -> None:
    with working(home, "ingest") as (run, step), dg.DagsterInstance.get() as instance:
        assert busy(instance, {"ml_assets/model": "m"})
        assert under_way(instance, "ingest")
        assert end_dead_runs(instance) == []
        assert len(held(instance)) == 1
        kill(run)
        psutil.wait_procs([step], timeout=60)
        assert not under_way(instance, "ingest")
        assert not busy(instance, {"ml_assets/model": "m"})
        assert held(instance) == []


CREATED = """
import sys
import dagster as dg
from ml_assets.execution.dead_runs import here
from tests.killed_graph import defs
with dg.DagsterInstance.get() as instance:
    instance.create_run_for_job(defs.resolve_job_def("ingest"), tags=here())
    print("created", flush=True)
    sys.stdin.read()
"""


def test_a_run_that_was_killed_before_it_started_is_not_under_way(home: Path) -> None:
    command = [sys.executable, "-c", CREATED]
    with (
        dg.DagsterInstance.get() as instance,
        subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as run,
    ):
        assert run.stdout and run.stdout.readline() == b"created\n"
        assert under_way(instance, "ingest")
        assert end_dead_runs(instance) == []
        kill(run)
        assert not under_way(instance, "ingest")
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.FAILURE]


def test_the_daemon_marks_a_dead_run_failed(home: Path) -> None:
    with working(home, "ingest") as (run, step), dg.DagsterInstance.get() as instance:
        (record,) = instance.get_run_records()
        monitor_started_run(instance, None, record, logging.getLogger())  # type: ignore[arg-type]
        assert instance.get_runs()[0].status == dg.DagsterRunStatus.STARTED
        kill(run)
        psutil.wait_procs([step], timeout=60)
        monitor_started_run(instance, None, record, logging.getLogger())  # type: ignore[arg-type]
        assert instance.get_runs()[0].status == dg.DagsterRunStatus.FAILURE
        assert instance.run_monitoring_settings["free_slots_after_run_end_seconds"] > 0
        end_dead_runs(instance)  # what else was ended holds nothing either
        assert held(instance) == []


def test_a_run_of_another_machine_is_left_alone(home: Path) -> None:
    with working(home, "land") as (run, _), dg.DagsterInstance.get() as instance:
        kill(run)
        (found,) = instance.get_runs()
        instance.add_run_tags(found.run_id, {MACHINE: "elsewhere"})
        (found,) = instance.get_runs()
        assert not is_dead(instance, found)
        assert under_way(instance, "land")


def test_a_number_that_was_given_anew_is_another_process(home: Path) -> None:
    with working(home, "land") as (run, _), dg.DagsterInstance.get() as instance:
        kill(run)
        (found,) = instance.get_runs()
        last = max(event.timestamp for event in instance.all_logs(found.run_id))
        while time.time() < last + 2 * CLOCK_SECONDS:
            time.sleep(0.1)
        with psutil.Popen(["sleep", "600"]) as younger:
            renumber(home, found.run_id, run.pid, younger.pid)
            assert younger.is_running()
            assert is_dead(instance, found)
            younger.kill()


def renumber(home: Path, run_id: str, old: int, new: int) -> None:
    """Change the number of the process in what a run has logged."""
    (database,) = (home / "history").rglob(f"{run_id}.db")
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("update event_logs set event = replace(event, ?, ?)", (f'"{old}"', f'"{new}"'))
        (count,) = connection.execute("select count(*) from event_logs where event like ?", (f'%"{new}"%',)).fetchone()
    assert count


COMMAND = """
import signal, sys
from pathlib import Path
from ml_assets.__main__ import _end
from ml_assets.execution.runs import execute_job
signal.signal(signal.SIGTERM, _end)
execute_job("ingest", {}, Path(sys.argv[1]), definitions="tests.killed_graph")
"""


def test_a_command_in_the_background_that_is_told_to_end_ends_its_run(home: Path) -> None:
    log = home / "run.log"
    ignoring = ["sh", "-c", 'trap \'\' INT; exec "$0" "$@"', sys.executable, "-c", COMMAND, str(log)]
    with subprocess.Popen(ignoring, cwd=PROJECT) as command:
        while not (home / "step").exists():
            assert command.poll() is None, log.read_text()
            time.sleep(0.05)
        family = psutil.Process(command.pid).children(recursive=True)
        command.terminate()
        assert command.wait(120) == 128 + signal.SIGTERM
    assert int((home / "step").read_text()) in {each.pid for each in family}
    assert [each for each in family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE] == []
    with dg.DagsterInstance.get() as instance:
        (run,) = instance.get_runs()
        assert run.is_finished, "it had the time to say that it was interrupted"
        assert not held(instance)
