"""Metrics of rows: against values computed by hand, by scikit-learn, and by repeating rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from ml_assets.config.model_spec import GATE_METRIC, Task
from ml_assets.metrics.metric_registry import LOSSES, ROW_METRICS, metrics_of, sign
from ml_assets.metrics.tabular import METRICS, once

TRUTH = np.array([1.0, 0.0, 1.0, 0.0])
SCORE = np.array([0.9, 0.8, 0.4, 0.1])

ROWS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6), st.integers(0, 3)), min_size=2, max_size=30).filter(
    lambda rows: len({truth for truth, _, weight in rows if weight}) == 2
)


def value(name: str, truth: np.ndarray, score: np.ndarray) -> float:
    return float(METRICS[name](truth, score, once(len(truth)))[0])


def test_by_hand() -> None:
    assert value("average_precision", TRUTH, SCORE) == pytest.approx(1 / 2 * 1 + 1 / 2 * 2 / 3)
    assert value("auc", TRUTH, SCORE) == pytest.approx(3 / 4)
    assert value("logloss", TRUTH, SCORE) == pytest.approx(-np.log([0.9, 0.2, 0.4, 0.9]).mean())
    assert value("brier", TRUTH, SCORE) == pytest.approx((0.01 + 0.64 + 0.36 + 0.01) / 4)
    assert value("rmse", np.array([1.0, 3.0]), np.array([2.0, 1.0])) == pytest.approx(np.sqrt(2.5))
    assert value("mae", np.array([1.0, 3.0]), np.array([2.0, 1.0])) == pytest.approx(1.5)
    assert value("r2", np.array([1.0, 3.0]), np.array([2.0, 1.0])) == pytest.approx(1 - 5 / 2)


def test_equal_scores_are_one_threshold() -> None:
    assert value("average_precision", TRUTH, np.zeros(4)) == pytest.approx(0.5)
    assert value("auc", TRUTH, np.zeros(4)) == pytest.approx(0.5)


def test_calibrated_predictions_have_no_calibration_error() -> None:
    score = np.repeat(np.arange(1, 11) / 20, 20)
    truth = np.concatenate([(np.arange(20) < at).astype(float) for at in range(1, 11)])
    assert value("calibration_error", truth, score) == pytest.approx(0.0)
    assert value("calibration_error", truth, score + 0.1) == pytest.approx(0.1)


@settings(deadline=None)
@given(ROWS)
def test_as_scikit_learn_says(rows: list[tuple[int, int, int]]) -> None:
    truth, score, weight = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    chance, weights = score / 7 + 0.05, weight[None, :]
    expected = {
        "average_precision": sk.average_precision_score(truth, chance, sample_weight=weight),
        "auc": sk.roc_auc_score(truth, chance, sample_weight=weight),
        "logloss": sk.log_loss(truth, chance, sample_weight=weight),
        "brier": sk.brier_score_loss(truth, chance, sample_weight=weight),
        "rmse": sk.root_mean_squared_error(truth, chance, sample_weight=weight),
        "mae": sk.mean_absolute_error(truth, chance, sample_weight=weight),
        "r2": sk.r2_score(truth, chance, sample_weight=weight),
    }
    found = {name: float(METRICS[name](truth, chance, weights)[0]) for name in expected}
    assert found == pytest.approx(expected, abs=1e-9)


@settings(deadline=None)
@given(ROWS)
def test_a_weight_is_a_repeated_row(rows: list[tuple[int, int, int]]) -> None:
    truth, score, weight = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    chance, times = score / 7 + 0.05, weight.astype(int)
    for name in set(METRICS) - {"calibration_error"}:  # its bins are of the rows, however often each was drawn
        repeated = value(name, np.repeat(truth, times), np.repeat(chance, times))
        assert float(METRICS[name](truth, chance, weight[None, :])[0]) == pytest.approx(repeated, abs=1e-9)


def test_one_class_has_no_ranking_metric() -> None:
    assert np.isnan(value("auc", np.ones(3), np.arange(3.0)))
    assert np.isnan(value("average_precision", np.zeros(3), np.arange(3.0)))
    assert all(np.isnan(value(name, np.empty(0), np.empty(0))) for name in METRICS)


def test_every_metric_of_a_task_exists_and_has_a_direction() -> None:
    assert {name for names in ROW_METRICS.values() for name in names} == set(METRICS)
    assert set(METRICS) >= LOSSES
    assert all(GATE_METRIC[task] in metrics_of(task) for task in Task)
    assert (sign("rmse"), sign("auc"), sign("ndcg_10")) == (-1, 1, 1)
