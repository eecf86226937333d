from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ml_assets.learning import ranker
from ml_assets.learning.metrics import group_metrics, top_k
from ml_assets.learning.spec import ModelSpec
from ml_assets.learning.split import Part
from ml_assets.learning.tracking import open_mlflow
from ml_assets.learning.train import train, train_once
from ml_assets.learning.training_set import DatasetRef, load_frame, load_rows
from ml_assets.registry.versions import CorruptedVersionError
from ml_assets.settings import Settings


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
    assert ranker.ValidationNdcg(frame, spec.truth_grade).value(score) == pytest.approx(expected)


def test_a_feature_the_training_set_lacks_is_named(spec: ModelSpec, dataset: DatasetRef):
    with pytest.raises(KeyError, match="gone_feature"):
        load_rows(dataset, Part.TRAIN, ["gone_feature"], spec)


def test_taking_rows_keeps_groups_aligned(spec: ModelSpec, dataset: DatasetRef):
    rows = load_rows(dataset, Part.TRAIN, dataset.manifest.features, spec)
    keep = np.arange(len(rows.x)) >= rows.sizes[0]
    taken = rows.take(keep)
    assert taken.sizes.tolist() == rows.sizes[1:].tolist()
    assert (taken.label == rows.label[keep]).all()
