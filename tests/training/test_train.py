from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from mlflow.tracking import MlflowClient

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.datasets.split import Part
from ml_assets.datasets.training_set import DatasetRef, load_frame, load_rows
from ml_assets.metrics.ranking import group_metrics, top_k
from ml_assets.registry.mlflow_client import experiment, open_mlflow
from ml_assets.registry.versions import CorruptedVersionError
from ml_assets.training import booster as ranker
from ml_assets.training.train import train, train_once

TRAIN = sys.modules["ml_assets.training.train"]


def test_the_same_inputs_give_the_same_bits(spec: ModelSpec, dataset: DatasetRef, settings: Settings, tmp_path: Path):
    first = train(spec, settings, dataset)
    elsewhere = settings.model_copy(update={"home": tmp_path / "again", "mlflow_address": settings.mlflow_uri})
    again = train(spec, elsewhere, dataset)
    assert again.version.version == first.version.version
    assert again.version.booster_file.read_bytes() == first.version.booster_file.read_bytes()
    assert again.run_id != first.run_id

    tuned = train(spec, settings, dataset, {"num_leaves": 4})
    assert tuned.version.version != first.version.version
    assert tuned.version.params["num_leaves"] == 4


def test_a_run_holds_what_is_needed_to_repeat_it(spec: ModelSpec, dataset: DatasetRef, settings: Settings):
    trained = train(spec, settings, dataset)
    client = open_mlflow(settings)
    run = client.get_run(trained.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["training_set"] == dataset.fingerprint
    assert run.data.params["data.last_event_day"] == "2011-12-04"
    assert run.data.params["deterministic"] == "True"
    assert run.data.metrics["validation_ndcg_10"] == pytest.approx(trained.value)
    files = {file.path for folder in ("", "model", "plots") for file in client.list_artifacts(trained.run_id, folder)}
    assert files >= {
        "environment.json",
        "model/booster.txt",
        "model/model.json",
        "plots/importance.png",
        "plots/shap.png",
    }
    assert not any(path.suffix in {".pkl", ".pickle"} for path in settings.home.rglob("*"))

    again = train(spec, settings, dataset)
    assert again.version == trained.version
    assert client.get_run(again.run_id).data.tags["reproduces_run"] == trained.run_id


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("killed", [True, False])
def test_a_training_that_did_not_end_well_is_gone_on_with_in_its_own_run(
    spec: ModelSpec, dataset: DatasetRef, settings: Settings, monkeypatch: pytest.MonkeyPatch, killed: bool
):
    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(TRAIN, "_log_files", die)
        if killed:  # nobody says that the run has ended
            patch.setattr(MlflowClient, "set_terminated", lambda *_, **__: None)
        with pytest.raises(Killed):
            train_once(spec, settings, dataset)
    client = open_mlflow(settings)
    (left,) = client.search_runs([experiment(client, settings, spec.name)])
    assert left.info.status == ("RUNNING" if killed else "FAILED")
    trained = train_once(spec, settings, dataset)
    (run,) = client.search_runs([experiment(client, settings, spec.name)])
    assert (run.info.run_id, run.info.status) == (left.info.run_id, "FINISHED")
    assert trained.version.run_id == trained.run_id == left.info.run_id
    assert "model/booster.txt" in {file.path for file in client.list_artifacts(left.info.run_id, "model")}


def test_what_was_trained_before_is_not_trained_again(spec: ModelSpec, dataset: DatasetRef, settings: Settings):
    first = train_once(spec, settings, dataset)
    assert train_once(spec, settings, dataset) == first
    assert train_once(spec, settings, dataset, {"num_leaves": 4}).run_id != first.run_id

    first.version.booster_file.write_text("altered")
    with pytest.raises(CorruptedVersionError):
        train_once(spec, settings, dataset)


def test_a_failed_training_is_a_failed_run(spec: ModelSpec, dataset: DatasetRef, settings: Settings):
    wrong = spec.model_copy(update={"training": spec.training.model_copy(update={"params": {"max_bin": -1}})})
    with pytest.raises(Exception, match="max_bin"):
        train(wrong, settings, dataset)
    client = open_mlflow(settings)
    experiment = client.get_experiment_by_name(spec.name)
    assert experiment is not None
    assert [run.info.status for run in client.search_runs([experiment.experiment_id])] == ["FAILED"]


def test_the_validation_metric_is_the_evaluations_own(spec: ModelSpec, dataset: DatasetRef):
    frame = load_frame(dataset, Part.VALIDATION, dataset.manifest.features, spec)
    score = np.random.default_rng(5).normal(size=len(frame.rows.x))
    row, rank = top_k(score, frame.row_group, 20)
    lists = np.full((frame.truth.groups, 20), -1)
    lists[frame.row_group[row], rank - 1] = frame.row_item[row]
    expected = np.nanmean(group_metrics(lists, frame.truth, frame.group_share(lists))["ndcg_10"])
    assert ranker.ValidationNdcg(frame, spec.relevance_threshold).value(score) == pytest.approx(expected)


def test_a_feature_the_training_set_lacks_is_named(spec: ModelSpec, dataset: DatasetRef):
    with pytest.raises(KeyError, match="gone_feature"):
        load_rows(dataset, Part.TRAIN, ["gone_feature"], spec)


def test_taking_rows_keeps_groups_aligned(spec: ModelSpec, dataset: DatasetRef):
    rows = load_rows(dataset, Part.TRAIN, dataset.manifest.features, spec)
    keep = np.arange(len(rows.x)) >= rows.sizes[0]
    taken = rows.take(keep)
    assert taken.sizes.tolist() == rows.sizes[1:].tolist()
    assert (taken.label == rows.label[keep]).all()
