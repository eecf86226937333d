from __future__ import annotations

from pathlib import Path

import numpy as np

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.datasets.split import Part
from ml_assets.datasets.training_set import DatasetRef, load_rows
from ml_assets.training import booster as ranker
from ml_assets.training import importance as explain


def test_shap_values_add_up_and_the_signal_ranks_first(
    spec: ModelSpec, dataset: DatasetRef, settings: Settings, tmp_path: Path
):
    features = dataset.manifest.features
    rows = load_rows(dataset, Part.TRAIN, features, spec)
    params = ranker.parameters(spec, settings)
    booster = ranker.fit(params, ranker.binned(rows, features, params), 10)
    values = explain.shap_values(booster, rows.x[:50])
    expected = booster.predict(rows.x[:50], pred_contrib=True)[:, -1]
    np.testing.assert_allclose(values.sum(axis=1) + expected, booster.predict(rows.x[:50]), atol=1e-9)

    ranked = explain.explain(booster, rows.x, features, tmp_path, seed=7)
    assert ranked[0].feature == "retrieval__own"
    assert abs(sum(one.gain for one in ranked) - 1) < 1e-9
    first = {name: (tmp_path / name).read_bytes() for name in (explain.IMPORTANCE_PLOT, explain.SHAP_PLOT)}
    explain.explain(booster, rows.x, features, tmp_path, seed=7)
    assert first == {name: (tmp_path / name).read_bytes() for name in first}
