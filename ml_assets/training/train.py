"""Train: early stopping on validation, a refit with validation, a published version, an MLflow run."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.datasets.code import training_code, version_of
from ml_assets.datasets.provenance import Provenance
from ml_assets.datasets.sampling import keep_negatives
from ml_assets.datasets.split import Part
from ml_assets.datasets.training_set import MANIFEST, DatasetRef, Rows, load_rows
from ml_assets.registry.mlflow_client import environment, experiment, log, open_mlflow, run
from ml_assets.registry.versions import VersionRef, load_version, publish_version, versions_home
from ml_assets.training import booster as ranker
from ml_assets.training import importance as explain
from ml_assets.training.validation import load_validation, metric_name

if TYPE_CHECKING:
    import lightgbm
    from mlflow.tracking import MlflowClient


RECIPE = "recipe"


@dataclass(frozen=True)
class Trained:
    """A published version, its value of the task's validation metric, and the MLflow run of this training.

    The version names its first run.
    """

    version: VersionRef
    run_id: str
    rounds: int
    value: float
    plots: Path


def train_once(
    spec: ModelSpec, settings: Settings, dataset: DatasetRef, tuned: Mapping[str, Any] | None = None
) -> Trained:
    """`train`, unless the same recipe was trained before and its version is still whole: then that one.

    Args and errors as of `train`, and:

    Raises:
        CorruptedVersionError: when the version's files were altered since.
    """
    client = open_mlflow(settings)
    recipe = _recipe(spec, dataset, ranker.parameters(spec, settings, tuned))
    same = f"tags.{RECIPE} = '{recipe}' and attributes.status = 'FINISHED'"
    for found in client.search_runs([experiment(client, settings, spec.name)], same, max_results=1):
        version, metrics = found.data.tags["version"], found.data.metrics
        path, plots = versions_home(settings, spec.name) / version, _plots(spec, settings, version)
        if path.exists() and plots.exists():
            rounds, value = int(metrics["rounds"]), metrics[metric_name(spec)]
            return Trained(load_version(path), found.info.run_id, rounds, value, plots)
    return train(spec, settings, dataset, tuned)


def train(spec: ModelSpec, settings: Settings, dataset: DatasetRef, tuned: Mapping[str, Any] | None = None) -> Trained:
    """Train and publish a model version; the same inputs give the same bits, hence the same version.

    Rounds are chosen by early stopping on the validation decisions; the published booster is then refitted on
    train and validation together with that many rounds, so that it knows the weeks nearest to those it will
    serve.

    Args:
        spec: the model.
        settings: the deployment.
        dataset: the training set.
        tuned: the parameters tuning found; they go over the defaults.
    """
    features = dataset.manifest.features
    params = ranker.parameters(spec, settings, tuned)
    client = open_mlflow(settings)
    tags = {"kind": "training", "training_set": dataset.fingerprint, RECIPE: _recipe(spec, dataset, params)}
    where = experiment(client, settings, spec.name)
    with run(client, where, f"train {spec.name}", tags) as run_id:
        fitted = fit(spec, dataset, params)
        metrics = {metric_name(spec): fitted.value, "rounds": fitted.rounds, **fitted.described}
        version = publish_version(
            settings,
            spec.name,
            fitted.booster.model_to_string(),
            run_id,
            features=features,
            params=params,
            training_set=dataset.fingerprint,
            metrics=metrics,
            created_from=Provenance.now(spec, dataset).model_dump(mode="json"),
        )
        plots = _plots(spec, settings, version.version)
        explain.explain(fitted.booster, fitted.validation.x, features, plots, spec.training.seed)
        log(client, run_id, {**params, **dataset.described()}, metrics, {"version": version.version})
        _log_files(client, run_id, version, dataset, plots)
        if version.run_id != run_id:
            log(client, run_id, tags={"reproduces_run": version.run_id})
        return Trained(version, run_id, fitted.rounds, fitted.value, plots)


def _recipe(spec: ModelSpec, dataset: DatasetRef, params: Mapping[str, Any]) -> str:
    """Content address of everything a version depends on: training set, parameters, the code that trains."""
    said = [dataset.fingerprint, dict(params), spec.training.model_dump(), version_of(training_code())]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def _plots(spec: ModelSpec, settings: Settings, version: str) -> Path:
    return settings.model_home(spec.name) / "plots" / version


@dataclass(frozen=True)
class Fitted:
    """A booster that was trained and not published, its value of the validation metric, what chose its rounds.

    `described` has the mean label (`prior`) of a binary or regression model: what its service answers without a model.
    """

    booster: lightgbm.Booster
    rounds: int
    value: float
    validation: Rows
    described: dict[str, float]


def fit(spec: ModelSpec, dataset: DatasetRef, params: Mapping[str, Any]) -> Fitted:
    """Train with exactly these LightGBM parameters: early stopping, then the refit; publishes and logs nothing.

    Args:
        spec: the model; `training` says rounds, early stopping, negatives and seed.
        dataset: the training set.
        params: as of `ranker.parameters`, or as a version recorded them.
    """
    features = dataset.manifest.features
    judged = load_validation(spec, dataset)
    rows, metric = load_rows(dataset, Part.TRAIN, features, spec), judged.metric
    fitted = ranker.binned(rows, features, params)
    validation = ranker.binned(judged.rows, features, params, reference=fitted)
    stop = ranker.stop_early(spec.training.early_stopping)
    first = ranker.fit(params, fitted, spec.training.rounds, validation, metric, callbacks=[stop])
    rounds = first.best_iteration or spec.training.rounds
    value = float(first.best_score["validation"][metric.name])
    del fitted, validation, first
    known = joined(rows, judged.rows, spec)
    both = ranker.binned(known, features, params)
    described = {} if spec.ranks else {"prior": float(known.label.mean())}
    return Fitted(ranker.fit(params, both, rounds), rounds, value, judged.rows, described)


def joined(rows: Rows, validation: Rows, spec: ModelSpec) -> Rows:
    """Train rows and validation rows; of a ranking, the latter with as few negatives as the former."""
    thin, training = validation, spec.training
    if spec.ranks:
        grades = validation.label.astype(np.int32)
        thin = validation.take(keep_negatives(grades, validation.group, training.negatives, training.seed))
    return Rows(
        np.concatenate([rows.x, thin.x]),
        np.concatenate([rows.label, thin.label]),
        np.concatenate([rows.sizes, thin.sizes]),
    )


def _log_files(client: MlflowClient, run_id: str, version: VersionRef, dataset: DatasetRef, plots: Path) -> None:
    client.log_artifacts(run_id, str(version.path), "model")
    client.log_artifacts(run_id, str(plots), "plots")
    client.log_artifact(run_id, str(dataset.path / MANIFEST), "training_set")
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder) / "environment.json"
        said.write_text(json.dumps(environment(), indent=2) + "\n")
        client.log_artifact(run_id, str(said))
