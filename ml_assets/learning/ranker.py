"""The LightGBM ranker: parameters, binned data, the validation metric, one fit; equal inputs, equal bits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ml_assets.learning.metrics import FloatArray, IntArray, ideal_hits, ndcg
from ml_assets.learning.spec import ModelSpec
from ml_assets.learning.training_set import Frame, Rows
from ml_assets.settings import Settings

if TYPE_CHECKING:
    import lightgbm

DEFAULTS: dict[str, Any] = {
    "learning_rate": 0.08,
    "num_leaves": 31,
    "min_data_in_leaf": 100,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "lambdarank_truncation_level": 20,
    "max_bin": 127,
}
"""What a model is trained with where neither tuning nor its YAML says otherwise."""


def parameters(spec: ModelSpec, settings: Settings, tuned: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """All LightGBM parameters: defaults, then tuning's, then the YAML's, then what reproducibility fixes."""
    return {
        **DEFAULTS,
        **(tuned or {}),
        **spec.training.params,
        "objective": "lambdarank",
        "metric": "None",
        "seed": spec.training.seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": settings.threads,
        "feature_pre_filter": False,  # one binned data set serves every min_data_in_leaf
        "verbosity": -1,
    }


def binned(
    rows: Rows, features: Sequence[str], params: Mapping[str, Any], reference: lightgbm.Dataset | None = None
) -> lightgbm.Dataset:
    """Bin the rows once (by the reference's bins, where given); the result serves many fits."""
    import lightgbm

    return lightgbm.Dataset(
        rows.x,
        label=rows.label,
        group=rows.sizes,
        reference=reference,
        feature_name=list(features),
        params=dict(params),
    ).construct()


def fit(
    params: Mapping[str, Any],
    train: lightgbm.Dataset,
    rounds: int,
    validation: lightgbm.Dataset | None = None,
    metric: Callable[[NDArray[np.float64], Any], tuple[str, float, bool]] | None = None,
    *,
    callbacks: Sequence[Callable[..., Any]] = (),
) -> lightgbm.Booster:
    """Boost for `rounds` rounds at most; callbacks (early stopping, pruning) may end it sooner."""
    import lightgbm

    return lightgbm.train(
        dict(params),
        train,
        num_boost_round=rounds,
        valid_sets=[] if validation is None else [validation],
        valid_names=[] if validation is None else ["validation"],
        feval=metric,
        callbacks=list(callbacks),
    )


class ValidationNdcg:
    """The evaluation's NDCG@10 as LightGBM's validation metric: missed products are in the truth too."""

    name = "ndcg_10"

    def __init__(self, frame: Frame, truth_grade: int, k: int = 10) -> None:
        sizes = frame.rows.sizes
        width = max(int(sizes.max(initial=0)), k)
        start = np.cumsum(sizes) - sizes
        self._row = frame.rows.group
        self._column: IntArray = np.arange(len(self._row)) - np.repeat(start, sizes)
        self._relevant = np.zeros((len(sizes), width))
        self._relevant[self._row, self._column] = frame.rows.label >= truth_grade
        truth = frame.truth.sizes()
        self._ideal = ideal_hits(truth[frame.row_group[start]], k)
        self._groups = frame.truth.groups  # groups without any candidate score 0, as they will when served
        self._k = k

    def __call__(self, predicted: NDArray[np.float64], _: Any) -> tuple[str, float, bool]:
        """Name, value, and that higher is better."""
        return self.name, self.value(predicted), True

    def value(self, predicted: NDArray[np.float64]) -> float:
        """Mean NDCG@10 of the ranking by `predicted` [rows]."""
        score: FloatArray = np.full(self._relevant.shape, -np.inf)
        score[self._row, self._column] = predicted
        best = np.argpartition(-score, self._k - 1, axis=1)[:, : self._k]
        order = np.argsort(-np.take_along_axis(score, best, axis=1), axis=1, kind="stable")
        best = np.take_along_axis(best, order, axis=1)
        gain = np.take_along_axis(self._relevant, best, axis=1)
        return float(np.nansum(ndcg(gain, self._ideal)) / max(self._groups, 1))


def stop_early(rounds: int) -> Callable[..., Any]:
    """LightGBM's early stopping on the validation metric, silent."""
    import lightgbm

    return lightgbm.early_stopping(rounds, first_metric_only=True, verbose=False)
