"""The statistics: what they promise about any counts, and values worked out by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from ml_assets.release import evidence
from ml_assets.release.evidence import FEWER, MORE, OTHER, Split, Stratum

shares = st.floats(0.01, 0.99)
customers = st.integers(0, 500)


@st.composite
def strata(draw: st.DrawFn) -> Stratum:
    canary, champion = draw(customers), draw(customers)
    return Stratum(draw(shares), canary, champion, draw(st.integers(0, canary)), draw(st.integers(0, champion)))


@settings(deadline=None)
@given(share=shares, canary=st.integers(1, 1000), champion=st.integers(0, 1000))
def test_nothing_is_expected_of_a_click_when_the_canary_does_no_harm(share: float, canary: int, champion: int):
    champion = min(champion, canary)  # clicks per thousand customers
    to_canary = share * canary / (share * canary + (1 - share) * champion)
    factor = {own: math.exp(evidence.evidence([Split(own, 1 - own, share)], FEWER)) for own in (0, 1)}
    assert to_canary * factor[1] + (1 - to_canary) * factor[0] <= 1 + 1e-9


@settings(deadline=None)
@given(share=shares, odds=st.sampled_from([FEWER, OTHER, MORE]), clicks=st.integers(1, 40))
def test_an_e_value_has_the_expectation_one_under_the_plan(share: float, odds: dict[float, float], clicks: int):
    expected = sum(
        binom.pmf(own, clicks, share) * math.exp(evidence.evidence([Split(own, clicks - own, share)], odds))
        for own in range(clicks + 1)
    )
    assert expected == pytest.approx(1.0)


@settings(deadline=None)
@given(st.lists(strata(), min_size=1, max_size=5))
def test_strata_of_one_share_may_be_joined(found: list[Stratum]):
    same = [Stratum(0.3, s.canary, s.champion, s.canary_clicked, s.champion_clicked) for s in found]
    names = ("canary", "champion", "canary_clicked", "champion_clicked")
    joined = Stratum(0.3, *(sum(getattr(each, name) for each in same) for name in names))
    assert evidence.harm(same) == pytest.approx(evidence.harm([joined]))
    assert evidence.imbalance(same) == pytest.approx(evidence.imbalance([joined]))


@settings(deadline=None)
@given(share=shares, champion=st.integers(1, 300), fewer=st.integers(0, 300), more=st.integers(0, 300))
def test_fewer_clicks_of_the_canary_are_more_evidence(share: float, champion: int, fewer: int, more: int):
    fewer, more = sorted((fewer, more))
    assert evidence.evidence([Split(fewer, champion, share)], FEWER) >= evidence.evidence(
        [Split(more, champion, share)], FEWER
    )


def test_evidence_worked_out_by_hand():
    one = evidence.evidence([Split(1, 3, 0.5)], {0.5: 1.0})
    assert one == pytest.approx(math.log(0.5 / 0.75**4))
    two = evidence.evidence([Split(1, 3, 0.5)], {0.5: 0.5, 2.0: 0.5})
    assert math.exp(two) == pytest.approx(0.5 * 0.5 / 0.75**4 + 0.5 * 2 / 1.5**4)


def test_everybody_in_the_canary_says_nothing_and_no_traffic_neither():
    assert evidence.harm([Stratum(1.0, 500, 0, 10, 0)]) == pytest.approx(0.0)
    assert evidence.harm([]) == evidence.imbalance([]) == pytest.approx(0.0)
    assert evidence.excess(5, 5, 0.0) == 0.0


@pytest.mark.parametrize(("failed", "answers", "certain"), [(1, 20, False), (3, 20, True), (20, 20_000, False)])
def test_failures_count_against_the_promise(failed: int, answers: int, certain: bool):
    assert (evidence.excess(failed, answers, 0.001) > math.log(1000)) is certain


def test_the_ratio_and_its_limits_worked_out_by_hand():
    found = evidence.ratio([Stratum(0.5, 100, 200, 20, 50)], 0.95)
    assert found is not None
    assert found.value == pytest.approx(0.8)
    error = math.sqrt(1 / 20 - 1 / 100 + 1 / 50 - 1 / 200)  # the delta method; one stratum
    assert found.low == pytest.approx(0.8 * math.exp(-1.6448536 * error))
    assert found.high == pytest.approx(0.8 * math.exp(1.6448536 * error))


@settings(deadline=None)
@given(st.lists(strata(), min_size=1, max_size=5))
def test_the_ratio_of_the_arms_exchanged_is_its_reciprocal(found: list[Stratum]):
    swapped = [Stratum(1 - s.share, s.champion, s.canary, s.champion_clicked, s.canary_clicked) for s in found]
    one, other = evidence.ratio(found, 0.95), evidence.ratio(swapped, 0.95)
    if one is None or other is None:
        assert one is other
        return
    assert one.value * other.value == pytest.approx(1.0)
    assert one.low * other.high == pytest.approx(1.0)
    either = evidence.fewer_clicks(found), evidence.fewer_clicks(swapped)
    assert either == (1.0, 1.0) or sum(either) == pytest.approx(1.0)


def test_the_score_test_worked_out_by_hand():
    found = evidence.fewer_clicks([Stratum(0.5, 10, 10, 2, 6)])
    variance = 10 * 10 * 8 * 12 / (20**2 * 19)
    assert found == pytest.approx(0.5 * math.erfc(2 / math.sqrt(variance) / math.sqrt(2)))
    assert evidence.fewer_clicks([Stratum(0.5, 10, 10, 0, 0)]) == 1.0


def test_a_click_rate_that_falls_while_the_share_grows_is_no_harm():
    quiet = [Stratum(0.1, 100, 900, 40, 360), Stratum(0.5, 900, 900, 90, 90)]
    pooled = [Stratum(0.36, 1000, 1800, 130, 450)]
    found = evidence.ratio(quiet, 0.95)
    assert found is not None
    assert found.value == pytest.approx(1.0)
    assert evidence.fewer_clicks(quiet) == pytest.approx(0.5)
    assert evidence.harm(quiet) < 0 < math.log(1000) < evidence.harm(pooled)
