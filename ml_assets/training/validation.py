"""What chooses a model's rounds and parameters: the validation part and the metric of the task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ml_assets.config.model_spec import ModelSpec, Task
from ml_assets.datasets.split import Part
from ml_assets.datasets.training_set import DatasetRef, Rows, load_frame, load_rows
from ml_assets.metrics.metric_registry import sign
from ml_assets.metrics.ranking import FloatArray
from ml_assets.metrics.tabular import METRICS, once
from ml_assets.training.booster import ValidationNdcg

NAMES = {Task.RANKING: ValidationNdcg.name, Task.BINARY: "logloss", Task.REGRESSION: "rmse"}
"""The validation metric of each task: for a probability a proper score, whatever the gate compares."""


class ValidationMetric(Protocol):
    """A metric as LightGBM asks for it during training."""

    name: str
    higher: bool

    def __call__(self, predicted: NDArray[np.float64], data: Any, /) -> tuple[str, float, bool]:
        """Name, value, and whether higher is better."""


class RowMetric:
    """A metric of the task over the validation rows."""

    def __init__(self, truth: FloatArray, task: Task) -> None:
        self.name = NAMES[task]
        self.higher = sign(self.name) > 0
        self._truth, self._metric, self._weights = truth, METRICS[self.name], once(len(truth))

    def __call__(self, predicted: NDArray[np.float64], _: Any) -> tuple[str, float, bool]:
        """Name, value, and whether higher is better."""
        return self.name, float(self._metric(self._truth, predicted, self._weights)[0]), self.higher


@dataclass(frozen=True)
class Validation:
    """The validation rows and the metric over them."""

    rows: Rows
    metric: ValidationMetric


def metric_name(spec: ModelSpec) -> str:
    """What a run calls the validation metric."""
    return f"validation_{NAMES[spec.task]}"


def load_validation(spec: ModelSpec, dataset: DatasetRef) -> Validation:
    """The validation part of a training set with the metric of the model's task."""
    features = dataset.manifest.features
    if spec.ranks:
        frame = load_frame(dataset, Part.VALIDATION, features, spec)
        return Validation(frame.rows, ValidationNdcg(frame, spec.relevance_threshold))
    rows = load_rows(dataset, Part.VALIDATION, features, spec)
    return Validation(rows, RowMetric(rows.label.astype(np.float64), spec.task))
