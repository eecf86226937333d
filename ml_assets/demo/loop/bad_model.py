"""A model that is bad on purpose: it learned to rank what nobody wants first. The release must stop it."""

from __future__ import annotations

from pathlib import Path

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.datasets.split import Part
from ml_assets.datasets.training_set import DatasetRef, Rows, load_rows
from ml_assets.registry.versions import VersionRef, publish_version
from ml_assets.training import booster as ranker

ROUNDS = 40


def train_bad_model(spec: ModelSpec, settings: Settings, good: VersionRef) -> Path:
    """Publish a version with a good one's parameters and turned-round labels; no gate ever saw it."""
    dataset = DatasetRef(settings.model_home(spec.name) / "training_sets" / good.training_set)
    rows = load_rows(dataset, Part.TRAIN, good.features, spec)
    turned = Rows(rows.x, rows.label.max() - rows.label, rows.sizes)
    params = dict(good.params)
    booster = ranker.fit(params, ranker.binned(turned, good.features, params), ROUNDS)
    bad = publish_version(
        settings,
        spec.name,
        booster.model_to_string(),
        good.run_id,
        features=good.features,
        params=params,
        training_set=good.training_set,
        metrics={},
        created_from={"deliberately": "bad", "labels_turned_round_from": good.version},
    )
    return bad.path
