"""Which metrics a task has and which way each counts: every gain in this project is an improvement."""

from __future__ import annotations

from ml_assets.config.model_spec import Task
from ml_assets.metrics.ranking import RELEVANCE_METRICS

LOSSES = frozenset({"logloss", "brier", "calibration_error", "rmse", "mae"})
"""Metrics of which less is better."""

ROW_METRICS = {
    Task.BINARY: ("average_precision", "auc", "logloss", "brier", "calibration_error"),
    Task.REGRESSION: ("rmse", "mae", "r2"),
}
"""The metrics of `row_metrics`, the gate's default first."""


def sign(metric: str) -> int:
    """1 where more is better, -1 where less is."""
    return -1 if metric in LOSSES else 1


def metrics_of(task: Task) -> tuple[str, ...]:
    """The metrics a gate of this task may compare."""
    return RELEVANCE_METRICS if task is Task.RANKING else ROW_METRICS[task]
