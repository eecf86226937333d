from __future__ import annotations

import lightgbm
import numpy as np
import pytest

from ml_assets.monitoring.drift.attribution import attribution

RNG = np.random.default_rng(0)
X = RNG.normal(size=(600, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def booster() -> lightgbm.Booster:
    """Looks at the first feature most, at the second a little, at the third only where it is above 3, never there."""
    x = RNG.normal(size=(4000, 4)).astype(np.float32)
    label = 3 * x[:, 0] + 0.5 * x[:, 1] + 8 * (x[:, 2] > 1.5)
    params = {"num_leaves": 15, "num_threads": 1, "verbosity": -1, "seed": 7}
    return lightgbm.train(params, lightgbm.Dataset(x, label), num_boost_round=40)


def test_shares_add_up_to_one_and_follow_what_the_booster_looks_at(booster):
    shares = attribution(booster, X)

    assert shares.sum() == pytest.approx(1)
    assert shares.argmax() == 0
    assert shares[1] < shares[0] / 3
    assert shares[3] < 0.02


def test_a_feature_counts_by_the_sample_in_which_it_matters_more(booster):
    drifted = X.copy()
    drifted[:, 2] += 3

    usual, both = attribution(booster, X)[2], attribution(booster, X, drifted)[2]

    assert both > 1.5 * usual
    assert attribution(booster, X, drifted) == pytest.approx(attribution(booster, drifted, X))
    assert attribution(booster, X, drifted).sum() == pytest.approx(1)


def test_no_rows_and_a_model_that_looks_at_nothing_weigh_nothing(booster):
    constant = lightgbm.train({"verbosity": -1}, lightgbm.Dataset(X, np.ones(len(X))), num_boost_round=1)

    assert attribution(booster, X[:0]).tolist() == [0] * 4
    assert attribution(constant, X).tolist() == [0] * 4
