"""A small edition of `python -m benchmarks.release`."""

from __future__ import annotations

from benchmarks.release import LIMIT, SPEC, coin_tosses, run
from ml_assets.release import Action


def test_harmless_canaries_are_not_rolled_back_and_some_are_promoted():
    ended = [run(SPEC, coin_tosses(seed, 0.4, 1.0)) for seed in range(12)]
    assert {each.action for each in ended} == {Action.PROMOTED, Action.HELD}
    assert all(SPEC.release.customers <= each.customers < LIMIT for each in ended)


def test_canaries_with_half_the_clicks_are_rolled_back_in_time():
    for rate in (0.1, 0.2, 0.4):
        ended = [run(SPEC, coin_tosses(seed, rate, 0.5)) for seed in range(8)]
        assert {each.action for each in ended} == {Action.ROLLED_BACK}
        assert all(each.customers < LIMIT for each in ended)


def test_a_canary_a_fifth_worse_is_not_promoted():
    assert all(run(SPEC, coin_tosses(seed, 0.4, 0.8)).action is not Action.PROMOTED for seed in range(6))
