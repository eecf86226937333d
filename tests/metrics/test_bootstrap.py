from __future__ import annotations

import math

import numpy as np

from ml_assets.metrics.bootstrap import paired_intervals


def test_the_gain_is_the_mean_over_groups_and_lies_in_its_interval():
    rng = np.random.default_rng(0)
    customer = np.repeat(np.arange(200), 3)
    gains = rng.normal(0.1, 0.5, len(customer))
    found = paired_intervals(customer, {"a": gains}, 500, 0.95, 7)["a"]
    assert math.isclose(found.gain, gains.mean())
    assert found.low < found.gain < found.high
    assert (found.customers, found.groups) == (200, 600)


def test_decisions_of_a_customer_are_resampled_together():
    rng = np.random.default_rng(1)
    own = rng.normal(size=100)
    gains = np.repeat(own, 8)  # eight copies of one observation are not eight observations
    together = paired_intervals(np.repeat(np.arange(100), 8), {"a": gains}, 600, 0.95, 7)["a"]
    apart = paired_intervals(np.arange(800), {"a": gains}, 600, 0.95, 7)["a"]
    single = paired_intervals(np.arange(100), {"a": own}, 600, 0.95, 7)["a"]
    assert math.isclose(together.high - together.low, single.high - single.low, rel_tol=1e-9)
    assert apart.high - apart.low < 0.5 * (together.high - together.low)


def test_undefined_groups_count_nowhere():
    gains = np.array([1.0, np.nan, 1.0, np.nan])
    found = paired_intervals(np.array([0, 0, 1, 2]), {"a": gains, "none": np.full(4, np.nan)}, 200, 0.9, 7)
    assert (found["a"].gain, found["a"].customers, found["a"].groups) == (1.0, 2, 2)
    assert math.isnan(found["none"].gain)
    assert math.isnan(found["none"].low)


def test_coverage_of_the_interval_is_near_its_level():
    rng = np.random.default_rng(2)
    hits = 0
    for at in range(150):
        gains = rng.normal(0.3, 1.0, 80)
        found = paired_intervals(np.arange(80), {"a": gains}, 300, 0.9, at)["a"]
        hits += found.low <= 0.3 <= found.high
    assert 0.80 < hits / 150 < 0.97


def test_the_seed_fixes_the_interval():
    gains = {"a": np.random.default_rng(3).normal(size=50)}
    first = paired_intervals(np.arange(50), gains, 100, 0.95, 7)
    assert first == paired_intervals(np.arange(50), gains, 100, 0.95, 7)
    assert first != paired_intervals(np.arange(50), gains, 100, 0.95, 8)
