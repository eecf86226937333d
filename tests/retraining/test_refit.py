from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tiny_training_set import FRESH, LATER, write_dataset

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.datasets.training_set import DatasetRef
from ml_assets.evaluation.evaluate import evaluate
from ml_assets.registry.versions import VersionRef
from ml_assets.retraining.journal import retraining_journal
from ml_assets.retraining.precheck import refit
from ml_assets.storage import journal
from ml_assets.training.train import train


def test_a_refit_helps_when_the_world_has_turned(
    spec: ModelSpec, settings: Settings, turned_world: DatasetRef, champion: VersionRef
):
    report = refit(spec, settings, turned_world, champion)
    assert report.helps
    assert report.gain is not None
    assert report.low is not None
    assert report.gain > report.low > 0
    assert "helps" in report.reason
    assert report.decisions == turned_world.manifest.split["test"]
    demanding = spec.model_copy(update={"retraining": spec.retraining.model_copy(update={"min_gain": report.gain})})
    assert not refit(demanding, settings, turned_world, champion).helps


def test_a_refit_does_not_help_in_the_world_the_champion_knows(
    spec: ModelSpec, settings: Settings, same_world: DatasetRef, champion: VersionRef
):
    report = refit(spec, settings, same_world, champion)
    assert not report.helps
    assert report.gain is not None
    assert abs(report.gain) < 0.03
    assert "does not help" in report.reason
    assert report.rounds <= min(spec.retraining.refit_rounds, champion.metrics["rounds"])


def test_a_change_is_learned_once_a_decision_after_it_is_trained_on(
    spec: ModelSpec, settings: Settings, champion: VersionRef, tmp_path: Path
):
    """Decision 6 is the test part, 5 the validation: being judged on the new world teaches nothing of it."""
    gain = {}
    for turned_from in (5, 6):
        folder = tmp_path / f"turned{turned_from}"
        dataset = write_dataset(folder, spec, parts=FRESH, start=LATER, turned_from=turned_from)
        gain[turned_from] = refit(spec, settings, dataset, champion).gain or 0.0
    assert gain[5] > 5 * abs(gain[6])


def test_both_are_judged_as_the_evaluation_judges_them(
    spec: ModelSpec, settings: Settings, turned_world: DatasetRef, champion: VersionRef
):
    """The refit knows the same rows as the candidate's published booster: with its rounds it is the candidate."""
    candidate = train(spec, settings, turned_world).version
    report = refit(spec, settings, turned_world, replace(champion, metrics=candidate.metrics))
    test = evaluate(spec, settings, turned_world, candidate, champion, evidently=False).parts["test"]
    assert report.value == pytest.approx(test.values["candidate"][spec.gate.metric])
    assert report.champion_value == pytest.approx(test.values["champion"][spec.gate.metric])


def test_what_the_yaml_says_now_is_what_would_be_trained(
    spec: ModelSpec, settings: Settings, turned_world: DatasetRef, champion: VersionRef
):
    stumps = spec.model_copy(update={"training": spec.training.model_copy(update={"params": {"num_leaves": 2}})})
    changed, before = (refit(each, settings, turned_world, champion) for each in (stumps, spec))
    assert changed.value != before.value
    assert changed.champion_value == before.champion_value


def test_the_first_model_needs_no_refit(spec: ModelSpec, settings: Settings, same_world: DatasetRef):
    report = refit(spec, settings, same_world, None)
    assert report.helps
    assert report.gain is None
    assert "first model" in report.reason


def test_a_training_set_without_a_test_part_is_refused(
    spec: ModelSpec, settings: Settings, same_world: DatasetRef, champion: VersionRef, tmp_path: Path
):
    split = {**same_world.manifest.split, "test": ()}
    bare = same_world.manifest.model_copy(update={"split": split})
    (tmp_path / "manifest.json").write_text(bare.model_dump_json())
    with pytest.raises(ValueError, match="no test decisions"):
        refit(spec, settings, DatasetRef(tmp_path), champion)


def test_nothing_is_written_by_a_refit(
    spec: ModelSpec, settings: Settings, same_world: DatasetRef, champion: VersionRef
):
    before = {path for path in settings.home.rglob("*") if path.is_file()}
    refit(spec, settings, same_world, champion)
    assert {path for path in settings.home.rglob("*") if path.is_file()} == before
    assert journal.read(retraining_journal(settings, spec.name)) == []
