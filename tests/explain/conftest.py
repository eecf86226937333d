"""A trained and promoted version, whose training set lies where the model keeps them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_training_set import small_spec, write_dataset

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.datasets.training_set import DatasetRef
from ml_assets.evaluation.result import GateDecision
from ml_assets.registry.promote import apply_decision
from ml_assets.registry.versions import VersionRef, load_version, versions_home
from ml_assets.training.train import train

TUNED = {"num_leaves": 5, "learning_rate": 0.11}
SET = "0123456789abcdef"


@pytest.fixture(scope="session")
def spec() -> ModelSpec:
    return small_spec()


@pytest.fixture(scope="session")
def trained(
    tmp_path_factory: pytest.TempPathFactory, spec: ModelSpec, new_tracked: Callable[[Path], Settings]
) -> tuple[Settings, str]:
    """A home with a version that was trained with tuned parameters and promoted, and the version's id."""
    settings = new_tracked(tmp_path_factory.mktemp("trained"))
    dataset = write_dataset(settings.model_home(spec.name) / "training_sets" / SET, spec)
    found = train(spec, settings, dataset, TUNED).version
    decision = GateDecision(
        candidate=found.version, champion=None, reference="ease", promote=True, reason="beats ease", checks=()
    )
    apply_decision(settings, spec, found, decision)
    return settings, found.version


@pytest.fixture
def settings(trained: tuple[Settings, str], tmp_path: Path) -> Settings:
    """A copy of that home."""
    shutil.copytree(trained[0].home, tmp_path / "home")
    return trained[0].model_copy(update={"home": tmp_path / "home"})


@pytest.fixture
def version(settings: Settings, spec: ModelSpec, trained: tuple[Settings, str]) -> VersionRef:
    return load_version(versions_home(settings, spec.name) / trained[1])


@pytest.fixture
def dataset(settings: Settings, spec: ModelSpec) -> DatasetRef:
    return DatasetRef(settings.model_home(spec.name) / "training_sets" / SET)
