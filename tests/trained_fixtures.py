"""A small training set, an MLflow for what is trained on it, and the tiny shop's own training set and version."""

from __future__ import annotations

import pytest
from tiny_training_set import small_spec, write_dataset

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.datasets.training_set import DatasetRef
from ml_assets.registry.versions import VersionRef


@pytest.fixture
def settings(tracked: Settings) -> Settings:
    return tracked


@pytest.fixture(scope="session")
def spec() -> ModelSpec:
    return small_spec()


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory, spec: ModelSpec) -> DatasetRef:
    return write_dataset(tmp_path_factory.mktemp("sets") / "0123456789abcdef", spec)


@pytest.fixture
def version(built: DatasetRef, shop_spec: ModelSpec, elsewhere: Settings) -> VersionRef:
    """A version trained on it, published in the copy of the shop."""
    from ml_assets.datasets.split import Part
    from ml_assets.datasets.training_set import load_rows
    from ml_assets.registry.versions import publish_version
    from ml_assets.training import booster as ranker

    features = built.manifest.features
    rows = load_rows(built, Part.TRAIN, features, shop_spec)
    params = ranker.parameters(shop_spec, elsewhere, {"min_data_in_leaf": 5})
    booster = ranker.fit(params, ranker.binned(rows, features, params), 10)
    return publish_version(
        elsewhere,
        shop_spec.name,
        booster.model_to_string(),
        "r",
        features=features,
        params={},
        training_set=built.fingerprint,
        metrics={},
        created_from={},
    )
