"""The checks of a spine run with the ingestion that makes it, and tell text labels and too few days."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from tiny_labelled import labelled_spec

from ml_assets.components.spine_checks import spine_checks
from ml_assets.config.model_spec import Task
from ml_assets.config.settings import load_settings

WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR


@dg.asset
def mart_events() -> None:
    """The spine."""


@pytest.fixture
def judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The checks of a spine with these labels on so many days: (passed, severity, text) by name."""
    monkeypatch.setenv("ML_ASSETS_HOME", str(tmp_path))
    path = load_settings().warehouse
    path.parent.mkdir(parents=True)

    def judge(label: str, days: int) -> dict[str, tuple[bool, Any, str]]:
        with duckdb.connect(str(path)) as warehouse:
            warehouse.execute(
                "create or replace table mart_events as "
                f"select timestamp '2026-01-01' + interval (n) day as happened_at, {label} as label "
                f"from range({days}) as numbers (n)"
            )
        found = dg.materialize([mart_events, spine_checks(labelled_spec(Task.BINARY))]).get_asset_check_evaluations()
        return {each.check_name: (each.passed, each.severity, each.description or "") for each in found}

    return judge


def test_good_labels_and_enough_days_pass(judged: Any) -> None:
    found = judged("n % 2", 60)
    assert [passed for passed, *_ in found.values()] == [True, True]


def test_text_labels_fail_and_too_few_days_warn(judged: Any) -> None:
    found = judged("case when n % 2 = 0 then 'ja' else 'nein' end", 10)
    passed, severity, said = found["tips_labels_fit"]
    assert (passed, severity) == (False, ERROR)
    assert "'ja' in 5 rows, 'nein' in 5 rows" in said
    passed, severity, said = found["tips_split_fits"]
    assert (passed, severity) == (False, WARN)
    assert "say what fits: split: {" in said


def test_without_labels_nothing_is_judged(judged: Any) -> None:
    found = judged("null", 5)
    assert {(passed, severity) for passed, severity, _ in found.values()} == {(False, WARN)}
    assert all(said.startswith("not judged: ") for *_, said in found.values())
