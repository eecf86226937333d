from __future__ import annotations

from pathlib import Path

import lightgbm
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_assets.config.settings import Settings
from ml_assets.registry.versions import VersionRef, publish_version
from ml_assets.scoring.predictor import Predictor

NAMES = tuple(f"f{at}" for at in range(6))


def version(home: Path, rounds: int, **params: object) -> VersionRef:
    """Trained on missing values and huge ones; `f2` says nothing."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(2000, len(NAMES)))
    x[:, 5] = rng.integers(0, 5, 2000)
    x[rng.random(x.shape) < 0.1] = np.nan
    x[rng.random(x.shape) < 0.01] = 3e38
    x[:, 2] = 1.0
    label = np.nan_to_num(x[:, 0]) + np.nan_to_num(x[:, 1] * x[:, 3]) + (x[:, 5] == 2)
    said = {"verbosity": -1, "num_threads": 1, "num_leaves": 15, **params}
    data = lightgbm.Dataset(x, label=np.clip(label, -9, 9), params=said)
    text = lightgbm.train(said, data, rounds).model_to_string()
    kept = {"params": {}, "training_set": "", "metrics": {}, "created_from": {}}
    return publish_version(Settings(home=home, shop="simulated"), "m", text, "r", features=NAMES, **kept)


@pytest.fixture(
    scope="module",
    params=[(1, {}), (30, {}), (5, {"linear_tree": True}), (3, {"num_leaves": 2})],
    ids=str,
)
def any_version(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> VersionRef:
    rounds, params = request.param
    return version(tmp_path_factory.mktemp("version"), rounds, **params)


values = st.one_of(st.none(), st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, 2.0]), st.floats(width=32))


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.tuples(*[values] * len(NAMES)), max_size=60), cuts=st.integers(1, 60))
def test_the_scores_are_those_of_predict_to_the_bit(
    any_version: VersionRef, rows: list[tuple[float | None, ...]], cuts: int
):
    columns = [pa.array([row[at] for row in rows], pa.float32()) for at in range(len(NAMES))]
    whole = pa.table(columns, names=list(NAMES))
    chunked = pa.concat_tables([whole.slice(at, cuts) for at in range(0, len(rows), cuts)] or [whole])
    found = Predictor(any_version)(chunked)
    x = np.array([[np.nan if value is None else value for value in row] for row in rows], dtype=np.float32)
    expected = any_version.booster().predict(x.reshape(-1, len(NAMES))) if rows else np.empty(0)
    assert found.tobytes() == expected.tobytes()


@settings(max_examples=20, deadline=None)
@given(sizes=st.lists(st.integers(0, 300), min_size=2, max_size=6), seed=st.integers(0, 99))
def test_what_was_scored_before_does_not_show(any_version: VersionRef, sizes: list[int], seed: int):
    predict, rng = Predictor(any_version), np.random.default_rng(seed)
    for rows in sizes:
        x = rng.normal(size=(rows, len(NAMES))).astype(np.float32)
        found = predict(pa.table(list(x.T), names=list(NAMES)))
        assert found.tobytes() == (any_version.booster().predict(x) if rows else np.empty(0)).tobytes()


def test_what_no_tree_looks_at_is_not_needed_and_the_rest_is(any_version: VersionRef):
    predict, rng = Predictor(any_version), np.random.default_rng(5)
    table = pa.table({name: rng.normal(size=500).astype(np.float32) for name in NAMES})
    assert "f2" not in predict.used
    assert predict(table.select(predict.used)).tobytes() == predict(table).tobytes()
    with pytest.raises(KeyError):
        predict(table.drop_columns(predict.used[0]))


def test_a_model_without_a_split_gives_its_constant(tmp_path: Path):
    constant = version(tmp_path, 2, min_data_in_leaf=5000)
    predict = Predictor(constant)
    assert list(predict.used) == []
    table = pa.table({name: np.zeros(7, dtype=np.float32) for name in NAMES})
    assert predict(table).tobytes() == constant.booster().predict(np.zeros((7, len(NAMES)))).tobytes()
