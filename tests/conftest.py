"""Every test gets a home folder of its own; telemetry stays off and nothing reads the developer's own `var/`."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import hypothesis
import pytest

from ml_assets.config.model_spec import ModelSpec, SplitSpec, TrainingSpec
from ml_assets.config.retrieval_config import RetrievalSpec
from ml_assets.config.settings import PROJECT, QUIET, Settings, load_settings
from ml_assets.datasets.training_set import DatasetRef

os.environ.update(QUIET)
hypothesis.settings.register_profile("untimed", deadline=None)  # no test measures time
hypothesis.settings.load_profile("untimed")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings whose home is an empty temporary folder."""
    return load_settings({"ML_ASSETS_HOME": str(tmp_path / "home")})


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow sqlite file with empty tables (making one takes seconds, copying it none)."""
    from ml_assets.registry.mlflow_client import open_mlflow

    settings = Settings(home=tmp_path_factory.mktemp("mlflow"), shop="simulated")
    open_mlflow(settings)
    return Path(settings.mlflow_uri.removeprefix("sqlite:///"))


@pytest.fixture(scope="session")
def new_tracked(empty_mlflow: Path) -> Callable[[Path], Settings]:
    """Make settings whose home, the given folder, holds nothing but an MLflow with empty tables."""

    def make(home: Path) -> Settings:
        settings = Settings(home=home, shop="simulated", threads=1)
        database = Path(settings.mlflow_uri.removeprefix("sqlite:///"))
        database.parent.mkdir(parents=True)
        with closing(sqlite3.connect(empty_mlflow)) as source, closing(sqlite3.connect(database)) as target:
            source.backup(target)
        return settings

    return make


@pytest.fixture
def tracked(tmp_path: Path, new_tracked: Callable[[Path], Settings]) -> Settings:
    """Settings whose home holds nothing but an MLflow with empty tables."""
    return new_tracked(tmp_path / "home")


@pytest.fixture(scope="session")
def tiny_shop(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A tiny shop whose warehouse dbt built and whose features are registered; read it, do not change it."""
    from tiny_warehouse import build_shop

    from feature_repo.store import apply, open_store

    settings = Settings(home=tmp_path_factory.mktemp("shop"), shop="simulated", threads=1)
    build_shop(settings)
    apply(open_store(settings))
    return settings


@pytest.fixture
def elsewhere(tiny_shop: Settings, tmp_path: Path) -> Settings:
    """The tiny shop in a home of its own, with nothing trained or built from it."""
    copy = tiny_shop.model_copy(update={"home": tmp_path / "copy"})
    copy.warehouse.parent.mkdir(parents=True)
    shutil.copy(tiny_shop.warehouse, copy.warehouse)
    shutil.copytree(tiny_shop.shop_home / "feast", copy.shop_home / "feast")
    return copy


@pytest.fixture(scope="session")
def shop_spec() -> ModelSpec:
    """A model of the tiny shop."""
    return ModelSpec(
        name="recommender",
        description="d",
        spine="mart_recommendation_spine",
        feature_service="product_recommender",
        slices=("customer_kind", "popularity_tier"),
        split=SplitSpec(train=3, validation=1, test=2, holdout=1, warmup_days=14),
        training=TrainingSpec(negatives=6),
        retrieval=RetrievalSpec(total=12),
    )


@pytest.fixture(scope="session")
def built(tiny_shop: Settings, shop_spec: ModelSpec) -> DatasetRef:
    """The tiny shop's training set."""
    from feature_repo.store import open_store
    from ml_assets.datasets.build import build_training_set

    return build_training_set(shop_spec, tiny_shop, open_store(tiny_shop))


def shared_data(name: str) -> Path:
    """Path of a real data file kept beside the project; skips the test, saying so, where it is absent."""
    root = Path(os.environ.get("ML_ASSETS_SHARED") or PROJECT.parent / "shared" / "data")
    path = root / name
    if not path.exists():
        pytest.skip(f"real data not here: {path} (set ML_ASSETS_SHARED)")
    return path
