"""Binary and regression models through the same tuning, training, evaluation, gate and refit as the ranker."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
from tiny_labelled import FEATURES, PARTS, labelled_spec, write_labelled_set

from ml_assets.config.model_spec import ModelSpec, Task
from ml_assets.config.settings import Settings
from ml_assets.datasets.labelled import load_labelled
from ml_assets.datasets.split import Part
from ml_assets.datasets.training_set import DatasetRef
from ml_assets.evaluation.apply_gate import pass_gate
from ml_assets.evaluation.evaluate import LISTS, REPORT, evaluate, evaluation_folder
from ml_assets.evaluation.evaluate_tabular import Asked, paired_gains
from ml_assets.evaluation.gate import decide
from ml_assets.evaluation.summary import contenders, markdown
from ml_assets.retraining.precheck import refit
from ml_assets.training import booster as ranker
from ml_assets.training.train import Trained, train, train_once
from ml_assets.training.tune import tune

TASKS = [Task.BINARY, Task.REGRESSION]


@pytest.fixture(params=TASKS, ids=str)
def spec(request: pytest.FixtureRequest) -> ModelSpec:
    return labelled_spec(request.param)


@pytest.fixture
def dataset(spec: ModelSpec, tmp_path) -> DatasetRef:
    return write_labelled_set(tmp_path / "sets" / "0123456789abcdef", spec)


@pytest.fixture
def trained(spec: ModelSpec, dataset: DatasetRef, settings: Settings) -> Trained:
    return train(spec, settings, dataset)


def test_life_of_a_model(spec: ModelSpec, dataset: DatasetRef, settings: Settings) -> None:
    found = tune(spec, settings, dataset)
    assert found.value is not None
    assert found.value > 0
    assert "lambdarank_truncation_level" not in found.params
    trained = train_once(spec, settings, dataset, found.params)
    assert train_once(spec, settings, dataset, found.params) == trained
    result = evaluate(spec, settings, dataset, trained.version, evidently=False)
    decision = decide(result, spec.gate)
    assert decision.promote, decision.reason
    assert result.reference != "prior"
    assert contenders(result, "test")[0] == "candidate"
    folder = evaluation_folder(settings, spec.name, trained.version.version)
    report = (folder / REPORT).read_text()
    assert spec.gate.metric in markdown(result)
    assert ("Precision at each recall" if spec.task is Task.BINARY else "Predicted and actual values") in report
    assert "catalogue" not in report
    passed = pass_gate(spec, settings, trained.version.path, folder)
    assert passed.champion is not None
    again = refit(spec, settings, dataset, passed.champion)
    assert again.metric == spec.gate.metric
    assert not again.helps  # the same rows teach nothing new
    assert evaluate(spec, settings, dataset, trained.version, passed.champion, evidently=False).already_champion


def test_equal_inputs_give_equal_bits(spec: ModelSpec, dataset: DatasetRef, trained: Trained, settings) -> None:
    assert train(spec, settings, dataset).version.version == trained.version.version
    assert trained.version.params["objective"] == ranker.OBJECTIVES[spec.task]


def test_every_contender_predicts_every_event(spec, dataset, trained, settings) -> None:
    evaluate(spec, settings, dataset, trained.version, evidently=False)
    rows = pq.read_table(evaluation_folder(settings, spec.name, trained.version.version) / LISTS)
    counted = rows.group_by(["contender", "split"]).aggregate([("row", "count_distinct")]).to_pylist()
    assert {each["contender"] for each in counted} >= {"candidate", "prior", "linear"}
    days = {"test": PARTS["test"], "holdout": PARTS["holdout"]}
    assert all(each["row_count_distinct"] == 40 * days[each["split"]] for each in counted)
    if spec.task is Task.BINARY:
        score = rows["score"].to_numpy()
        assert ((score > 0) & (score < 1)).all()


def test_nothing_gains_over_itself_and_a_better_one_does(spec: ModelSpec, dataset: DatasetRef) -> None:
    frame = load_labelled(dataset, Part.TEST, FEATURES, spec)
    asked = {"all": Asked(spec.gate.metric, np.ones(len(frame.row), dtype=bool))}
    noise = np.random.default_rng(1).random(len(frame.row))
    same = paired_gains(spec, frame, noise, noise, asked)["all"]
    assert (same.gain, same.low, same.high) == (0, 0, 0)
    better = paired_gains(spec, frame, frame.truth, noise, asked)["all"]
    assert better.low is not None
    assert better.low > 0
    assert better.customers == PARTS["test"]


def test_an_unknown_metric_is_refused_with_those_there_are(spec, dataset, trained, settings) -> None:
    wrong = spec.model_copy(update={"gate": spec.gate.model_copy(update={"metric": "ndcg_10"})})
    with pytest.raises(ValueError, match=spec.gate.metric):
        evaluate(wrong, settings, dataset, trained.version, evidently=False)
