"""Every parameter that LightGBM knows is either taken, or refused with what says it; none is passed over."""

from __future__ import annotations

from typing import Any

import pytest

from ml_assets.config.lightgbm_parameters import ALIASES, ELSEWHERE, NUMBERS, OF_TASK, OTHERS, wrong_parameters
from ml_assets.config.model_spec import Task
from ml_assets.config.settings import Settings
from ml_assets.training import booster as ranker

TAKEN = {*NUMBERS, *OTHERS, *(name for names in OF_TASK.values() for name in names)}


@pytest.fixture(scope="module")
def aliases() -> dict[str, list[str]]:
    from lightgbm.basic import _ConfigAliases

    found: dict[str, list[str]] = _ConfigAliases._get_all_param_aliases()
    return found


def test_what_is_taken_is_known_to_lightgbm_and_every_other_name_of_it_refused(aliases: dict[str, list[str]]) -> None:
    assert TAKEN | {*ELSEWHERE} <= set(aliases)
    for name in TAKEN | {*ELSEWHERE}:
        assert {*ALIASES.get(name, "").split()} == {*aliases[name]} - {name}


def test_the_names_that_are_set_anyway_are_refused() -> None:
    for task in Task:
        spec_sets = {"objective", "metric", "seed", "deterministic", "force_row_wise", "num_threads"}
        assert {name for name, _ in wrong_parameters(dict.fromkeys(spec_sets, 1), task)} == spec_sets
        assert list(wrong_parameters(ranker.defaults(task), task)) == []


@pytest.mark.parametrize(
    ("params", "task", "said"),
    [
        ({"objective": "poisson"}, "regression", "`task` says what is minimised"),
        ({"application": "poisson"}, "regression", "`task` says what is minimised"),
        ({"n_estimators": 500}, "binary", "training.rounds"),
        ({"eta": 0.1}, "binary", "another name of 'learning_rate'"),
        ({"num_leafs": 7}, "binary", "did you mean 'num_leaves'"),
        ({"lambdarank_norm": True}, "binary", "for ranking only"),
        ({"is_unbalance": True}, "ranking", "for binary only"),
        ({"learning_rate": -5}, "ranking", "a number from 1e-06 to 10, not -5"),
        ({"num_leaves": 1e300}, "ranking", "not 1e+300"),
        ({"lambda_l2": "much"}, "ranking", "not 'much'"),
        ({"bagging_fraction": float("nan")}, "ranking", "not nan"),
        ({"bagging_freq": True}, "ranking", "not True"),
        ({"alpha": 0.9}, "regression", "no parameter that can be set here"),
    ],
)
def test_a_parameter_that_would_do_nothing_is_refused(params: dict[str, Any], task: str, said: str) -> None:
    ((name, told),) = wrong_parameters(params, task)
    assert name in params
    assert said in told


def test_what_is_taken_reaches_the_booster(settings: Settings) -> None:
    from tiny_labelled import labelled_spec

    spec = labelled_spec(Task.BINARY)
    assert ranker.parameters(spec, settings)["min_data_in_leaf"] == spec.training.params["min_data_in_leaf"] == 5
