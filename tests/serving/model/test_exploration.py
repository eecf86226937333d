"""Exploration: what is shown, and that its propensities are the truth."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.model.exploration import choose

sizes = st.integers(0, 30), st.integers(1, 12), st.floats(0.01, 0.9), st.integers(0, 2**32 - 1)


def ranking(n):
    return np.random.default_rng(n).permutation(n)


@given(*sizes)
def test_only_the_last_position_explores(n, k, explore, seed):
    order = ranking(n)
    shown, propensities = choose(order, k, explore, np.random.default_rng(seed))
    assert len(shown) == len(propensities) == min(k, n)
    assert list(shown[:-1]) == list(order[: max(len(shown) - 1, 0)])
    assert propensities[:-1] == [1.0] * max(len(shown) - 1, 0)
    assert len(set(shown.tolist())) == len(shown)
    assert set(shown.tolist()) <= set(order.tolist())
    if n <= k:
        assert list(shown) == list(order)
        assert propensities == [1.0] * n


@given(*sizes)
def test_the_same_state_shows_the_same_and_the_ranking_stays_whole(n, k, explore, seed):
    order = ranking(n)
    first, second = (choose(order, k, explore, np.random.default_rng(seed)) for _ in range(2))
    assert np.array_equal(first[0], second[0])
    assert first[1] == second[1]
    assert np.array_equal(order, ranking(n))


@pytest.mark.parametrize(("n", "k", "explore"), [(9, 4, 0.3), (5, 4, 0.5), (30, 1, 0.2), (12, 10, 0.05)])
def test_propensities_are_a_distribution_and_match_the_frequencies(n, k, explore):
    order, rng, draws = ranking(n), np.random.default_rng(11), 20_000
    seen, said = Counter(), {}
    for _ in range(draws):
        shown, propensities = choose(order, k, explore, rng)
        seen[int(shown[-1])] += 1
        assert said.setdefault(int(shown[-1]), propensities[-1]) == propensities[-1]
    assert set(said) == set(order[k - 1 :].tolist())
    assert sum(said.values()) == pytest.approx(1.0)
    for product, propensity in said.items():
        deviation = np.sqrt(propensity * (1 - propensity) / draws)
        assert abs(seen[product] / draws - propensity) < 5 * deviation


def test_without_exploration_nothing_is_drawn():
    shown, propensities = choose(ranking(9), 4)
    assert list(shown) == list(ranking(9)[:4])
    assert propensities == [1.0] * 4


def test_exploring_without_a_generator_is_refused():
    with pytest.raises(ValueError, match="pass rng"):
        choose(ranking(9), 4, 0.1)
