"""The baselines of binary and regression models: what each predicts on data it can and cannot explain."""

from __future__ import annotations

import numpy as np
import pytest

from ml_assets.config.model_spec import Task
from ml_assets.datasets.tabular_baselines import fit_baselines

RNG = np.random.default_rng(2)
X = RNG.normal(size=(4000, 3)).astype(np.float32)
NAMES = ("a", "b", "c")


def fitted(label: np.ndarray, task: Task, x: np.ndarray = X) -> dict[str, np.ndarray]:
    return {each.name: each.predict(x) for each in fit_baselines(x, label.astype(float), NAMES, task)}


def test_prior_is_the_mean() -> None:
    found = fitted(X[:, 1] > 1, Task.BINARY)["prior"]
    assert found == pytest.approx(np.full(len(X), (X[:, 1] > 1).mean()))


def test_the_feature_that_alone_explains_most_is_chosen() -> None:
    label = np.sin(3 * X[:, 2]) + 0.1 * X[:, 0]
    found = fitted(label, Task.REGRESSION)
    assert set(found) == {"prior", "only_c", "linear"}
    errors = {name: np.mean((one - label) ** 2) for name, one in found.items()}
    assert errors["only_c"] < errors["linear"] < errors["prior"]


def test_a_line_is_found_by_the_linear_one_missing_values_or_not() -> None:
    holes = X.copy()
    holes[::7, 1] = np.nan
    label = 3 + 2 * X[:, 0] - X[:, 1]
    assert np.mean((fitted(label, Task.REGRESSION)["linear"] - label) ** 2) < 1e-3
    assert np.isfinite(fitted(label, Task.REGRESSION, holes)["linear"]).all()


def test_the_logistic_one_gives_honest_probabilities() -> None:
    chance = 1 / (1 + np.exp(-(0.5 + 1.5 * X[:, 0])))
    label = RNG.random(len(X)) < chance
    assert np.abs(fitted(label, Task.BINARY)["linear"] - chance).max() < 0.1


def test_a_constant_and_an_empty_feature_do_no_harm() -> None:
    x = X.copy()
    x[:, 0], x[:, 1] = 1.0, np.nan
    for task in (Task.BINARY, Task.REGRESSION):
        assert all(np.isfinite(one).all() for one in fitted(x[:, 2] > 0, task, x).values())
