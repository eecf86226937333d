"""A job in a process of its own: its steps are forked, its story is told, its failures come back in plain words."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml_assets.config.settings import Settings
from ml_assets.execution.runs import RunResult, dagster_home, execute_job, range_tags


def at_home(home: Path, patch: pytest.MonkeyPatch) -> None:
    """Make the Dagster instance, and have the run's process find the same settings."""
    settings = Settings(home=home, shop="simulated")
    patch.setenv("ML_ASSETS_HOME", str(home))
    patch.setenv("ML_ASSETS_EVENT_LOG", str(settings.dagster_home / "history"))
    patch.setenv("DAGSTER_HOME", "dagster_home sets it, the patch takes it back")
    dagster_home(settings)


@pytest.fixture(scope="module")
def told() -> list[str]:
    return []


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, told: list[str]) -> RunResult:
    home = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        at_home(home, patch)
        return execute_job("ingest", {}, home / "run.log", told.append, definitions="tests.tiny_graph")


def test_a_failed_step_comes_back_in_its_own_words(run: RunResult) -> None:
    assert not run.succeeded
    assert run.errors == ("third: ValueError: the third step fails",)


def test_steps_that_ended_well_have_a_time_and_checks_a_result(run: RunResult) -> None:
    assert {"first", "second"} <= run.step_seconds.keys()
    assert "third" not in run.step_seconds
    assert [(check.asset, check.name, check.passed) for check in run.checks] == [("second", "held", True)]
    assert run.failed_checks == ()


def test_the_story_is_told_in_order(run: RunResult, told: list[str]) -> None:
    ends = [line.split()[1] for line in told if line.startswith(("   ✓", "   ✗"))]
    assert ends[0] == "first"
    assert ends.index("second") < ends.index("third:")
    assert any("child of" in line for line in told)


def test_a_job_that_is_not_there_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_home(tmp_path, monkeypatch)
    days = range_tags("2026-01-01", "2026-01-02")
    run = execute_job("no_such_job", days, tmp_path / "run.log", definitions="tests.tiny_graph")
    assert not run.succeeded
    assert "no_such_job" in run.errors[0]
