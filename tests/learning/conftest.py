"""A small training set, and an MLflow for what is trained on it."""

from __future__ import annotations

import pytest
from tiny_training_set import small_spec, write_dataset

from ml_assets.learning.spec import ModelSpec
from ml_assets.learning.training_set import DatasetRef
from ml_assets.settings import Settings


@pytest.fixture
def settings(tracked: Settings) -> Settings:
    return tracked


@pytest.fixture(scope="session")
def spec() -> ModelSpec:
    return small_spec()


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory, spec: ModelSpec) -> DatasetRef:
    return write_dataset(tmp_path_factory.mktemp("sets") / "0123456789abcdef", spec)
