"""The LightGBM booster: parameters, binned data, the ranker's validation metric, one fit; equal inputs, equal bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ml_assets.config.model_spec import ModelSpec, Task
from ml_assets.config.settings import Settings
from ml_assets.datasets.training_set import Frame, Rows
from ml_assets.metrics.ranking import FloatArray, IntArray, ideal_hits

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


OBJECTIVES = {Task.RANKING: "lambdarank", Task.BINARY: "binary", Task.REGRESSION: "regression"}
"""What LightGBM minimises."""
RANKER_ONLY = frozenset({"lambdarank_truncation_level"})
"""Parameters that mean something to a ranker only."""
SMALL_LEAF = 20
"""Least rows in a leaf of a model that has one row per event: there are fewer of them than candidates."""


def defaults(task: Task) -> dict[str, Any]:
    """`DEFAULTS`, as far as they fit the task."""
    if task is Task.RANKING:
        return DEFAULTS
    kept = {name: value for name, value in DEFAULTS.items() if name not in RANKER_ONLY}
    return {**kept, "min_data_in_leaf": SMALL_LEAF}


def parameters(spec: ModelSpec, settings: Settings, tuned: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """All LightGBM parameters: defaults, then tuning's, then the YAML's, then what reproducibility fixes."""
    return {
        **defaults(spec.task),
        **(tuned or {}),
        **spec.training.params,
        "objective": OBJECTIVES[spec.task],
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
        group=rows.sizes if params["objective"] == OBJECTIVES[Task.RANKING] else None,
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


def boost(
    params: Mapping[str, Any], train: lightgbm.Dataset, validation: lightgbm.Dataset, rounds: int
) -> Iterator[tuple[int, lightgbm.Booster]]:
    """As `fit`, round by round: yields how many there were and the booster, which scores the validation when asked."""
    import lightgbm

    booster = lightgbm.Booster(dict(params), train)
    booster.add_valid(validation, "validation")
    for number in range(1, rounds + 1):
        booster.update()
        yield number, booster


class ValidationNdcg:
    """The evaluation's NDCG@10 as LightGBM's validation metric: missed products are in the truth too.

    Only where the relevant rows rank is looked up: there are few, and nothing else has a gain.
    """

    name, higher = "ndcg_10", True

    def __init__(self, frame: Frame, relevance_threshold: int, k: int = 10) -> None:
        sizes = frame.rows.sizes
        start = np.cumsum(sizes) - sizes
        row = frame.rows.group
        column: IntArray = np.arange(len(row)) - start[row]
        self._shape = (len(sizes), int(sizes.max(initial=0)))
        self._cell: IntArray = row * self._shape[1] + column
        self._relevant = np.flatnonzero(frame.rows.label >= relevance_threshold)
        self._group = row[self._relevant]
        self._earlier = np.arange(self._shape[1]) < column[self._relevant, None]
        self._discount = np.append(1.0 / np.log2(np.arange(2, k + 2)), 0.0)
        ideal = ideal_hits(frame.truth.sizes()[frame.row_group[self._relevant]], k)
        # Groups without any candidate score 0, as they will when served.
        self._weight = 1.0 / ((ideal @ self._discount[:k]) * max(frame.truth.groups, 1))
        self._k = k

    def __call__(self, predicted: NDArray[np.float64], _: Any) -> tuple[str, float, bool]:
        """Name, value, and that higher is better."""
        return self.name, self.value(predicted), True

    def value(self, predicted: NDArray[np.float64]) -> float:
        """Mean NDCG@10 of the ranking by `predicted` [rows], ties to the earlier row."""
        scores: FloatArray = np.full(self._shape, -np.inf)
        scores.ravel()[self._cell] = predicted
        own, group = predicted[self._relevant, None], scores[self._group]
        before = (group > own).sum(axis=1) + ((group == own) & self._earlier).sum(axis=1)
        return float(self._discount[np.minimum(before, self._k)] @ self._weight)


def stop_early(rounds: int) -> Callable[..., Any]:
    """LightGBM's early stopping on the validation metric, silent."""
    import lightgbm

    return lightgbm.early_stopping(rounds, first_metric_only=True, verbose=False)
