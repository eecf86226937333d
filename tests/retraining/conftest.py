"""A champion trained on last month's world, and training sets of this month's: the same world, or one that turned."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_training_set import FRESH, LATER, small_spec, write_dataset

from ml_assets.config.model_spec import ModelSpec, RetrainingSpec
from ml_assets.config.settings import Settings
from ml_assets.datasets.training_set import DatasetRef
from ml_assets.evaluation.result import GateDecision
from ml_assets.registry.promote import apply_decision
from ml_assets.registry.versions import VersionRef, load_version, versions_home
from ml_assets.training.train import train


@pytest.fixture
def settings(tracked: Settings) -> Settings:
    return tracked


@pytest.fixture(scope="session")
def spec() -> ModelSpec:
    return small_spec().model_copy(update={"retraining": RetrainingSpec(refit_rounds=25, cooldown_days=1)})


@pytest.fixture(scope="session")
def before(tmp_path_factory: pytest.TempPathFactory, spec: ModelSpec) -> DatasetRef:
    return write_dataset(tmp_path_factory.mktemp("sets") / "before0123456789", spec)


@pytest.fixture(scope="session")
def same_world(tmp_path_factory: pytest.TempPathFactory, spec: ModelSpec) -> DatasetRef:
    return write_dataset(tmp_path_factory.mktemp("sets") / "same0123456789ab", spec, parts=FRESH, start=LATER)


@pytest.fixture(scope="session")
def turned_world(tmp_path_factory: pytest.TempPathFactory, spec: ModelSpec) -> DatasetRef:
    return write_dataset(
        tmp_path_factory.mktemp("sets") / "turned0123456789", spec, parts=FRESH, start=LATER, turned_from=0
    )


@pytest.fixture(scope="session")
def trained(
    tmp_path_factory: pytest.TempPathFactory,
    spec: ModelSpec,
    before: DatasetRef,
    new_tracked: Callable[[Path], Settings],
) -> tuple[Settings, str]:
    """A home with a promoted champion, and the champion's version."""
    settings = new_tracked(tmp_path_factory.mktemp("trained"))
    version = train(spec, settings, before).version
    apply_decision(settings, spec, version, verdict(version))
    return settings, version.version


@pytest.fixture
def champion(settings: Settings, spec: ModelSpec, trained: tuple[Settings, str]) -> VersionRef:
    """The champion, in the test's own home."""
    home, version = trained
    shutil.copytree(home.home, settings.home, dirs_exist_ok=True)
    return load_version(versions_home(settings, spec.name) / version)


def verdict(version: VersionRef, champion: str | None = None, promote: bool = True) -> GateDecision:
    return GateDecision(
        candidate=version.version, champion=champion, reference="r", promote=promote, reason="better", checks=()
    )
