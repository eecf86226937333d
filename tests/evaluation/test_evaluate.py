from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.datasets.training_set import DatasetRef
from ml_assets.evaluation.evaluate import evaluate, evaluation_folder
from ml_assets.evaluation.gate import decide
from ml_assets.evaluation.result import AlteredResultError, read_result, seal_result
from ml_assets.registry.mlflow_client import open_mlflow
from ml_assets.registry.versions import publish_version
from ml_assets.training.train import train


def test_a_candidate_next_to_its_baselines(spec: ModelSpec, dataset: DatasetRef, settings: Settings):
    trained = train(spec, settings, dataset)
    result = evaluate(spec, settings, dataset, trained.version)
    test = result.parts["test"]
    assert set(test.values) == {"candidate", "own_frequency", "popularity"}
    assert result.reference == "own_frequency"
    assert (test.groups, test.customers) == (140, 70)
    value, baseline = test.values["candidate"]["ndcg_10"], test.values["own_frequency"]["ndcg_10"]
    gain = test.gains["own_frequency"]["ndcg_10"]
    assert value is not None
    assert baseline is not None
    assert gain.gain == pytest.approx(value - baseline)
    assert decide(result, spec.gate).promote

    folder = evaluation_folder(settings, spec.name, trained.version.version)
    assert read_result(folder / "result.json") == result
    lists = pq.read_table(folder / "lists.parquet")
    assert lists["rank"].to_numpy().max() == 20
    assert set(pc.unique(lists["split"]).to_pylist()) == {"test", "holdout"}
    html = (folder / "report.html").read_text()
    assert not re.findall(r'(?:src|href)="(?!data:)', html)  # nothing is loaded from elsewhere
    assert html.count("data:image/png") == 6
    assert (folder / "evidently.html").stat().st_size > 100_000
    metrics = open_mlflow(settings).get_run(trained.run_id).data.metrics
    assert metrics["test_ndcg_10"] == pytest.approx(value)


def test_customer_slices_partition_the_lists_and_product_slices_the_truth(
    spec: ModelSpec, dataset: DatasetRef, settings: Settings
):
    trained = train(spec, settings, dataset)
    test = evaluate(spec, settings, dataset, trained.version, evidently=False).parts["test"]
    kinds = [one for one in test.slices if one.column == "customer_kind"]
    assert [one.value for one in kinds] == ["new", "returning"]
    assert sum(one.groups for one in kinds) == test.groups
    weighted = sum(one.groups * (one.values["candidate"] or 0) for one in kinds) / test.groups
    assert weighted == pytest.approx(test.values["candidate"]["ndcg_10"])
    tiers = [one for one in test.slices if one.column == "popularity_tier"]
    assert sum(one.groups for one in tiers) > test.groups  # a list may hold truth of both tiers


def test_the_champion_is_scored_on_the_same_rows(spec: ModelSpec, dataset: DatasetRef, settings: Settings):
    old = train(spec, settings, dataset).version
    weak = spec.model_copy(update={"training": spec.training.model_copy(update={"rounds": 1})})
    new = train(weak, settings, dataset).version
    result = evaluate(weak, settings, dataset, new, champion=old, evidently=False)
    alone = evaluate(spec, settings, dataset, old, evidently=False)
    assert (result.reference, result.champion) == ("champion", old.version)
    assert result.parts["test"].values["champion"] == alone.parts["test"].values["candidate"]

    itself = evaluate(spec, settings, dataset, old, champion=old, evidently=False)
    assert itself.already_champion
    assert "champion" not in itself.parts["test"].values
    assert decide(itself, spec.gate).reason == "already champion"


def test_the_same_evaluation_is_read_and_another_champion_makes_another(
    spec: ModelSpec, dataset: DatasetRef, settings: Settings
):
    version = train(spec, settings, dataset).version
    first = evaluate(spec, settings, dataset, version, evidently=False)
    report = evaluation_folder(settings, spec.name, version.version) / "report.html"
    drawn = report.stat().st_mtime_ns
    assert evaluate(spec, settings, dataset, version, evidently=False) == first
    assert report.stat().st_mtime_ns == drawn
    assert evaluate(spec, settings, dataset, version, champion=version, evidently=False).inputs != first.inputs


def test_a_champion_with_a_feature_that_is_gone_is_still_compared(
    spec: ModelSpec, dataset: DatasetRef, settings: Settings
):
    new = train(spec, settings, dataset).version
    text = new.booster_file.read_text().replace("noise", "abolished")
    gone = tuple("abolished" if name == "noise" else name for name in new.features)
    old = publish_version(
        settings,
        spec.name,
        text,
        new.run_id,
        features=gone,
        params={},
        training_set="t",
        metrics={},
        created_from={},
    )
    result = evaluate(spec, settings, dataset, new, champion=old, evidently=False)
    assert "abolished" in result.notes[0]
    assert np.isfinite(result.parts["test"].values["champion"]["ndcg_10"] or np.nan)
    with pytest.raises(KeyError, match="abolished"):
        evaluate(spec, settings, dataset, old, evidently=False)


def test_an_unknown_gate_metric_is_refused(spec: ModelSpec, dataset: DatasetRef, settings: Settings, tmp_path: Path):
    version = publish_version(
        settings,
        spec.name,
        "tree",
        "r",
        features=(),
        params={},
        training_set="t",
        metrics={},
        created_from={},
    )
    wrong = spec.model_copy(update={"gate": spec.gate.model_copy(update={"metric": "auc"})})
    with pytest.raises(ValueError, match=r"gate\.metric 'auc'"):
        evaluate(wrong, settings, dataset, version)


def test_an_altered_result_is_made_anew_and_an_altered_training_set_judges_nobody(
    spec: ModelSpec, dataset: DatasetRef, settings: Settings, tmp_path: Path
):
    trained = train(spec, settings, dataset)
    result = evaluate(spec, settings, dataset, trained.version, evidently=False)
    path = evaluation_folder(settings, spec.name, trained.version.version) / "result.json"
    written = path.read_bytes()
    said = json.loads(written)
    said["parts"]["test"]["values"]["candidate"]["ndcg_10"] = 0.99
    path.write_text(json.dumps(said))
    with pytest.raises(AlteredResultError, match="evaluate the version again"):
        read_result(path)
    assert evaluate(spec, settings, dataset, trained.version, evidently=False) == result
    assert path.read_bytes() == written
    said.pop("sha256")
    path.write_text(json.dumps(said))
    with pytest.raises(AlteredResultError, match=f"ml_assets seal {trained.version.version} --model {spec.name}"):
        read_result(path)
    seal_result(path)
    assert read_result(path).parts["test"].values["candidate"]["ndcg_10"] == 0.99

    copy = DatasetRef(tmp_path / "copy" / dataset.path.name)
    shutil.copytree(dataset.path, copy.path)
    rows = copy.path / "rows.parquet"
    content = bytearray(rows.read_bytes())
    content[len(content) // 2] ^= 1
    rows.write_bytes(content)
    path.unlink()
    with pytest.raises(ValueError, match=r"rows\.parquet are not what was published"):
        evaluate(spec, settings, copy, trained.version, evidently=False)
