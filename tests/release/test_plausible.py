"""What customers cannot do: rates beyond any shop's, or many times those before; never what they can."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from ml_assets.release import evidence
from ml_assets.release.observed import Answers, ArmData, Clicks, Drawn, Feedback
from ml_assets.release.plausible import CEILING, CERTAIN, impossible, most


def seen(strays: int = 0, clicked: int = 0, **clicks: Clicks) -> ArmData:
    drawn = (Drawn(0.5, 500, 500, clicked, 0, 1, 0),)
    return ArmData(Answers(9), Answers(9), drawn, 1, feedback=Feedback(strays=strays, **clicks))


@pytest.mark.parametrize(
    ("before", "limit"),
    [
        (Clicks(), CEILING),
        (Clicks(99, 9.0), CEILING),
        (Clicks(5000, 0.0), CEILING),
        (Clicks(100, 2.0), 5 * 5 / 100),
        (Clicks(1000, 50.0), 5 * 53 / 1000),
        (Clicks(1000, 400.0), CEILING),
    ],
)
def test_the_largest_possible_rate_comes_from_the_days_before(before: Clicks, limit: float):
    assert most(before) == pytest.approx(limit)


@pytest.mark.parametrize("arm", ["canary", "champion"])
def test_nearly_everybody_clicking_is_impossible_once_they_are_many(arm: str):
    assert impossible(seen(**{arm: Clicks(30, 30.0)})) is None
    found = impossible(seen(**{arm: Clicks(150, 150.0)}))
    assert found is not None
    assert ("challenger" in found, "champion" in found) == (arm == "canary", arm == "champion")
    assert impossible(seen(**{arm: Clicks(100_000, 90_000.0)})) is None


def test_many_times_the_rate_before_is_impossible_and_twice_is_not():
    before = Clicks(1000, 30.0)
    assert impossible(seen(canary=Clicks(100, 60.0), before=before)) is not None
    assert impossible(seen(canary=Clicks(100_000, 6_000.0), champion=Clicks(900, 54.0), before=before)) is None


def test_outcomes_that_fit_no_answer_count_when_they_are_many_and_more_than_the_others():
    assert impossible(seen(strays=19, clicked=1)) is None
    assert impossible(seen(strays=40, clicked=40)) is None
    assert impossible(seen(strays=41, clicked=40)) is not None


@pytest.mark.parametrize("rate", [0.25, 0.8, CEILING])
def test_even_the_largest_possible_rate_is_hardly_called_impossible(rate: float):
    """At one look; that it holds for all looks together is what an e-value is."""
    called = [n for n in range(201) if n > 200 * rate and evidence.excess(n, 200, rate) > -math.log(CERTAIN)]
    assert binom.pmf(called, 200, rate).sum() < CERTAIN


@settings(deadline=None)
@given(rate=st.floats(0.01, 0.99), parts=st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_a_customer_who_clicks_in_parts_is_no_more_evidence_than_one_who_does_or_does_not(
    rate: float, parts: list[float]
):
    mean = sum(parts) / len(parts)
    factor = [math.exp(evidence.excess(part, 1, rate)) for part in parts]
    whole = mean * math.exp(evidence.excess(1, 1, rate)) + (1 - mean) * math.exp(evidence.excess(0, 1, rate))
    assert sum(factor) / len(factor) <= whole + 1e-9
