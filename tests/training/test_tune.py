from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.tracking import MlflowClient

from ml_assets.config.model_spec import ModelSpec, TuningSpec
from ml_assets.config.settings import PROJECT, Settings
from ml_assets.datasets.training_set import DatasetRef
from ml_assets.registry.mlflow_client import open_mlflow
from ml_assets.training import booster as ranker
from ml_assets.training import tune as tuning
from ml_assets.training.tune import lags, open_study, tune

KILLED_WHEN_THREE_TRIALS_ARE_IN = """
import os, signal, sys
from pathlib import Path
from ml_assets.training import tune
from ml_assets.config.model_spec import RECORDED, ModelSpec
from ml_assets.datasets.training_set import DatasetRef
from ml_assets.config.settings import Settings

def die(trial):
    if trial.number == 3:  # the sixth: it knows three
        os.kill(os.getpid(), signal.SIGKILL)
    return trial.suggest_int("num_leaves", 15, 63, log=True)

tune.SPACE["num_leaves"] = die
home, dataset, spec = sys.argv[1:]
tune.tune(
    ModelSpec.model_validate_json(spec, context=RECORDED),
    Settings(home=Path(home), shop="simulated", threads=1),
    DatasetRef(Path(dataset)),
)
"""


def ended(journal: Path, spec: ModelSpec) -> list[tuple[dict, float | None, str]]:
    study = open_study(journal, spec)
    return [(t.params, t.value, t.state.name) for t in study.trials if t.state.name in {"COMPLETE", "PRUNED"}]


def test_a_killed_search_goes_on_as_if_nothing_had_happened(spec: ModelSpec, dataset: DatasetRef, settings: Settings):
    spec = spec.model_copy(update={"tuning": TuningSpec(trials=6, rounds=12, sample_groups=100)})
    other = settings.model_copy(update={"home": settings.home.parent / "killed", "mlflow_address": settings.mlflow_uri})
    arguments = [str(other.home), str(dataset.path), spec.model_dump_json()]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_WHEN_THREE_TRIALS_ARE_IN, *arguments],
        cwd=PROJECT,
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    (journal,) = other.model_home(spec.name).glob("tuning/*/journal.log")
    with journal.open("ab") as torn:
        torn.write(b'{"op_code": 6, "worker_id": "to')

    resumed = tune(spec, other, dataset)
    straight = tune(spec, settings, dataset)

    assert resumed.params == straight.params
    assert resumed.value == straight.value
    assert resumed.journal
    assert straight.journal
    assert ended(resumed.journal, spec) == ended(straight.journal, spec)


def test_trials_depend_on_nothing_but_those_they_may_know(
    spec: ModelSpec, dataset: DatasetRef, settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    """Ended after any trial and gone on with, or one after the other: the trials are the same."""
    spec = spec.model_copy(update={"tuning": TuningSpec(trials=5, rounds=12, sample_groups=100)})
    straight = tune(spec, settings, dataset)
    assert straight.journal
    monkeypatch.setattr(tuning, "ThreadPoolExecutor", lambda _, **said: ThreadPoolExecutor(1, **said))
    for count in (1, 2, 3):
        home = settings.home.parent / f"ended-{count}"
        other = settings.model_copy(update={"home": home, "mlflow_address": settings.mlflow_uri})
        for trials in (count, 5):
            few = spec.model_copy(update={"tuning": spec.tuning.model_copy(update={"trials": trials})})
            journal = tune(few, other, dataset).journal
            assert journal
            assert ended(journal, spec) == ended(straight.journal, spec)[:trials]


def test_the_first_trial_is_the_defaults_and_every_trial_is_a_run(
    spec: ModelSpec, dataset: DatasetRef, settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    seen: list[tuple[int, int]] = []
    with monkeypatch.context() as patch:  # killed when the run of the first trial was begun
        patch.setattr(tuning, "log", lambda *_, **__: 1 / 0)
        patch.setattr(MlflowClient, "set_terminated", lambda *_, **__: None)
        with pytest.raises(ZeroDivisionError):
            tune(spec, settings, dataset, lambda _, done, of: seen.append((done, of)))
    found = tune(spec, settings, dataset)
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert found.journal
    first = open_study(found.journal, spec).trials[0]
    assert first.params == {name: ranker.DEFAULTS[name] for name in first.params}
    assert found.value is not None
    assert first.value is not None
    assert found.value >= first.value
    assert tune(spec, settings, dataset) == found  # finished: only read
    client = open_mlflow(settings)
    experiment = client.get_experiment_by_name(spec.name)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.data.tags["trial"] for run in runs) == ["0", "1", "2"]
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert all(run.data.params["data.warehouse"] == "w1" and "env.lightgbm" in run.data.tags for run in runs)


def test_without_trials_the_defaults_stand(spec: ModelSpec, dataset: DatasetRef, settings: Settings):
    found = tune(spec.model_copy(update={"tuning": TuningSpec(trials=0)}), settings, dataset)
    assert found.params == {}
    assert found.journal is None


SCORES = st.floats(0, 1)
ROUNDS = 80


@given(
    st.lists(st.dictionaries(st.integers(1, ROUNDS), SCORES, min_size=1), max_size=8), st.integers(1, ROUNDS), SCORES
)
def test_the_best_goes_on_and_who_lags_lags_later_too(earlier: list[dict[int, float]], number: int, best: float):
    top = max((score for scores in earlier for score in scores.values()), default=0.0)
    assert not lags(max(top, best), number, ROUNDS, earlier)
    if lags(best, number, ROUNDS, earlier):
        assert all(lags(best, later, ROUNDS, earlier) for later in range(number, ROUNDS + 1))
        assert lags(best / 2, number, ROUNDS, earlier)


def test_ever_fewer_go_on_and_a_pruned_trial_still_counts():
    earlier = [{20: 0.1, 40: 0.2}, {20: 0.3, 40: 0.35, 60: 0.4}, {20: 0.5}]
    assert not lags(0.15, 20, ROUNDS, earlier)  # two of three are better, 15 of 16 may be
    assert not lags(0.3, 40, ROUNDS, earlier)  # the second and the pruned third; three of four may be
    assert lags(0.3, 60, ROUNDS, earlier)  # seven of 16 may be
    assert not lags(0.45, 60, ROUNDS, earlier)  # only the pruned third
    assert not lags(0.0, 60, ROUNDS, [])
