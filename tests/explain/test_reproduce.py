from __future__ import annotations

import shutil

import duckdb
import pytest
from tiny_training_set import write_dataset

from ml_assets.config.model_spec import ModelSpec, SplitSpec, TrainingSpec
from ml_assets.config.retrieval_config import RetrievalSpec
from ml_assets.config.settings import Settings
from ml_assets.datasets.build import build_training_set
from ml_assets.datasets.training_set import DatasetRef
from ml_assets.explain import reproduce
from ml_assets.registry.versions import CorruptedVersionError, VersionRef
from ml_assets.training.train import train


def files(settings: Settings) -> dict[str, int]:
    home = settings.shop_home / "models"
    return {str(path): path.stat().st_mtime_ns for path in home.rglob("*") if path.is_file()}


def test_a_version_is_made_again_to_the_bit_and_nothing_is_published(
    settings: Settings, spec: ModelSpec, version: VersionRef
):
    before = files(settings)
    found = reproduce(settings, spec, version.version)
    assert found.same
    assert found.sha256 == version.sha256
    assert found.rounds == version.metrics["rounds"]
    assert "equal to the last bit" in found.text
    assert found.changed == ()
    assert files(settings) == before


def test_it_is_trained_as_it_was_not_as_the_yaml_says_now(settings: Settings, spec: ModelSpec, version: VersionRef):
    now = spec.model_copy(update={"training": TrainingSpec(rounds=3, negatives=2, seed=99), "relevance_threshold": 1})
    assert reproduce(settings, now, version.version).same


def test_another_training_set_is_told_from_an_altered_one(
    settings: Settings, spec: ModelSpec, version: VersionRef, dataset: DatasetRef
):
    shutil.rmtree(dataset.path)
    write_dataset(dataset.path, spec, seed=4)  # whole by its own manifest, but not what the version was trained on
    other = reproduce(settings, spec, version.version)
    assert not other.same
    assert other.sha256 not in {None, version.sha256}
    assert "is another one" in other.text

    with (dataset.path / "rows.parquet").open("ab") as rows:
        rows.write(b"!")
    altered = reproduce(settings, spec, version.version)
    assert altered.sha256 is None
    assert "was altered: rows.parquet" in altered.text
    assert "no warehouse" in altered.text


def test_an_altered_or_unknown_version_is_refused(settings: Settings, spec: ModelSpec, version: VersionRef):
    with pytest.raises(FileNotFoundError, match="no such model version"):
        reproduce(settings, spec, "ffffffffffff")
    version.booster_file.write_text("altered")
    with pytest.raises(CorruptedVersionError):
        reproduce(settings, spec, version.version)


SHOP = ModelSpec(
    name="recommender",
    description="d",
    spine="mart_recommendation_spine",
    feature_service="product_recommender",
    split=SplitSpec(train=2, validation=1, test=1, holdout=0, warmup_days=14),
    training=TrainingSpec(negatives=6, rounds=5, params={"min_data_in_leaf": 5}),
    retrieval=RetrievalSpec(total=12),
)


def test_without_its_folder_the_training_set_is_built_again_while_its_inputs_are_what_they_were(
    tracked: Settings, elsewhere: Settings
):
    from feature_repo.store import open_store

    settings = elsewhere.model_copy(update={"mlflow_address": tracked.mlflow_uri})
    cut = SplitSpec(train=3, validation=1, test=1, holdout=0, warmup_days=14)
    newest = max(build_training_set(SHOP, settings, open_store(settings)).manifest.split["train"])
    dataset = build_training_set(SHOP, settings, open_store(settings), split=cut, newest=newest)
    version = train(SHOP, settings, dataset).version
    shutil.rmtree(settings.model_home(SHOP.name) / "training_sets")

    found = reproduce(settings, SHOP, version.version)  # the warehouse has gone on, the YAML has another cut
    assert found.same
    assert "built again from the warehouse" in found.text
    assert not list(settings.model_home(SHOP.name).glob("training_sets/*"))
    assert not list(settings.model_home(SHOP.name).glob(".reproduce-*"))

    with duckdb.connect(str(settings.warehouse)) as warehouse:
        warehouse.execute(
            "update stg_events set price = price + 1 where event_id = (select min(event_id) from stg_events)"
        )
    rewritten = reproduce(settings, SHOP, version.version)
    assert (rewritten.same, rewritten.sha256) == (False, None)
    assert [change.split(":")[0].split(" before")[0] for change in rewritten.changed] == ["events"]
    assert version.created_from["data"]["events"] in rewritten.text
