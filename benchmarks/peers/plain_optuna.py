"""Hyperparameter search the plain way: Optuna's own LightGBM example, ranked rows in place of classified ones.

Every trial makes its data sets anew from the matrices and trains all its rounds with all threads, one after the other;
the sampler is Optuna's default and nothing is pruned. Space, seed, rows and score are those of the project's search.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import lightgbm
import optuna

from ml_assets.config.model_spec import ModelSpec
from ml_assets.datasets.sampling import sample_groups
from ml_assets.datasets.split import Part
from ml_assets.datasets.training_set import DatasetRef, Rows, load_frame, load_rows
from ml_assets.training import booster as ranker
from ml_assets.training.tune import SPACE


def search(dataset: str, spec: str, threads: int) -> dict[str, Any]:
    """Run the spec's trials; returns `seconds` and `best`, a list of [seconds since the beginning, best so far]."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    read, model = DatasetRef(Path(dataset)), ModelSpec.model_validate_json(spec)
    began = time.perf_counter()
    features = list(read.manifest.features)
    rows = load_rows(read, Part.TRAIN, features, model)
    rows = rows.take(sample_groups(rows.sizes, model.tuning.sample_groups, model.training.seed))
    frame = load_frame(read, Part.VALIDATION, features, model)
    ndcg = ranker.ValidationNdcg(frame, model.relevance_threshold)
    best: list[tuple[float, float]] = []

    def objective(trial: optuna.Trial) -> float:
        params = {
            **{name: ranker.DEFAULTS[name] for name in ("bagging_fraction", "bagging_freq", "max_bin")},
            **{name: draw(trial) for name, draw in SPACE.items()},
            **{"objective": "lambdarank", "metric": "None", "num_threads": threads, "verbosity": -1},
            "seed": model.training.seed,
        }
        train = _data(rows, features)
        history: dict[str, Any] = {}
        lightgbm.train(
            params,
            train,
            num_boost_round=model.tuning.rounds,
            valid_sets=[_data(frame.rows, features, train)],
            valid_names=["validation"],
            feval=ndcg,
            callbacks=[lightgbm.record_evaluation(history)],
        )
        return float(max(history["validation"][ndcg.name]))

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=model.training.seed))
    study.optimize(
        objective,
        n_trials=model.tuning.trials,
        callbacks=[lambda study, _: best.append((time.perf_counter() - began, study.best_value))],
    )
    return {"seconds": time.perf_counter() - began, "best": best}


def _data(rows: Rows, features: list[str], reference: lightgbm.Dataset | None = None) -> lightgbm.Dataset:
    return lightgbm.Dataset(rows.x, rows.label, group=rows.sizes, reference=reference, feature_name=features)
