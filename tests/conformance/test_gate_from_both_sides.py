"""The gate: better models pass, models of shuffled labels do not, and a gate that lets all pass is caught."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml_assets.config.model_spec import Task
from ml_assets.conformance import gate
from ml_assets.conformance.context import Context
from ml_assets.conformance.verdict import Outcome
from ml_assets.datasets.training_set import ROWS
from ml_assets.evaluation import evaluate
from ml_assets.evaluation.gate import decide


def test_a_sound_model_beats_its_baseline_and_what_learned_nothing_does_not(champion: Context) -> None:
    found = gate.better(champion)
    assert found.outcome is Outcome.PASSED, found.text
    assert found.figures["low"] > 0
    stopped = gate.shuffled(champion)
    assert stopped.outcome is Outcome.PASSED, stopped.text
    assert len(stopped.figures["runs"]) == (1 if champion.spec.ranks else 3)
    assert all(run["low"] <= 0 for run in stopped.figures["runs"].values())


def test_a_model_that_is_no_better_is_caught(champion: Context, tmp_path: Path) -> None:
    blind = gate.shuffle_labels(champion.spec, champion.dataset, tmp_path / "blind", 1)
    champion.version = gate.trained_aside(champion, blind, 1)
    found = gate.better(champion)
    assert found.outcome is Outcome.FAILED
    assert "does not displace" in found.text


def test_a_gate_that_lets_everything_pass_is_caught(champion: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    def rigged(evaluation: Any, rules: Any) -> Any:
        return decide(evaluation, rules).model_copy(update={"promote": True, "reason": "everybody is welcome"})

    monkeypatch.setattr(evaluate, "decide", rigged)
    found = gate.shuffled(champion)
    assert found.outcome is Outcome.FAILED
    assert "everybody is welcome" in found.text


def test_a_test_part_that_was_learned_from_is_caught(champion_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels that are not shuffled after all: the model learns, passes, and the item says so."""
    monkeypatch.setattr(gate, "_shuffled", lambda values, stratum, seed: values)
    assert gate.shuffled(champion_of(Task.BINARY)).outcome is Outcome.FAILED


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), task=st.sampled_from(list(Task)))
def test_shuffling_keeps_every_list_and_every_feature(sets: Any, tmp_path_factory: Any, seed: int, task: Task) -> None:
    spec, dataset = sets[task]
    made = gate.shuffle_labels(spec, dataset, tmp_path_factory.mktemp("shuffled") / "set", seed)
    learned = [("split", "in", ["train", "validation"])]
    before, after = pq.read_table(dataset.path / ROWS, filters=learned), pq.read_table(made.path / ROWS)
    features = (table.drop_columns(spec.label).to_pandas() for table in (before, after))
    assert next(features).equals(next(features))  # pandas: NaN is like NaN
    stratum = "group" if spec.ranks else "split"
    for one in before[stratum].unique().to_pylist():
        own = np.array([value == one for value in before[stratum].to_pylist()])
        was, now = (np.sort(table[spec.label].to_numpy()[own]) for table in (before, after))
        np.testing.assert_array_equal(was, now)
    assert not before[spec.label].equals(after[spec.label])
