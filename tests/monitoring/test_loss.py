"""The test for a loss: silent in healthy shops, quick when a third of the clicks go."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from ml_assets.monitoring.quality.loss import DayMean, Loss, expectation, judge, judge_day
from ml_assets.monitoring.quality.rates import Moments

START = date(2026, 3, 2)
REFERENCE = 28


def clicks(day: int, n: float, y: float, customers: int = 0) -> DayMean:
    """A day on which every customer asks once, or `customers` ask equally often and agree."""
    size = n / customers if customers else 1.0
    moments = Moments(customers or int(n), n, y, y * size, y * size, n * size)
    return DayMean(START + timedelta(day), "v1", moments)


def shop(seed: int, days: int, *, rate: float = 0.25, weekdays: float = 0.0, loss: float = 0.0) -> list[DayMean]:
    """About 600 answers a day of customers who differ and come back; the last three days lose `loss`."""
    rng = np.random.default_rng(seed)
    likes, active = rng.beta(4 * rate, 4 * (1 - rate), 4000), rng.dirichlet(np.full(4000, 0.7))
    weekday = 1 + weekdays * rng.normal(size=7)
    found = []
    for number in range(days):
        visits = rng.choice(4000, rng.poisson(350), p=active)
        who = np.concatenate([visits, rng.choice(visits, 250)])
        chance = likes[who] * weekday[number % 7] * (1 - loss * (number >= days - 3))
        n = np.bincount(who, minlength=4000).astype(float)
        y = np.bincount(who, rng.random(len(who)) < chance, minlength=4000)
        sums = ((y * y).sum(), (y * n).sum(), (n * n).sum())
        found.append(DayMean(START + timedelta(number), "v1", Moments(int((n > 0).sum()), n.sum(), y.sum(), *sums)))
    return found


def verdict(days: list[DayMean], newest: int) -> Loss:
    """The verdict when `newest` is the newest day; three days are judged."""
    before = days[max(0, newest - 2 - REFERENCE) : newest - 2]
    judged = [judge_day(day, before) for day in days[newest - 2 : newest + 1]]
    return judge(judged, loss=0.2, confidence=0.999, windows=3, needed=2)


@pytest.mark.parametrize("weekdays", [0.0, 0.1])
def test_healthy_days_raise_no_alarm(weekdays: float):
    shops = [shop(seed, 45, weekdays=weekdays) for seed in range(5)]
    verdicts = [verdict(days, newest) for days in shops for newest in range(10, 45)]
    worse = np.mean([each.days[-1].worse for each in verdicts])
    assert sum(each.found for each in verdicts) == 0
    assert 0.005 < worse < 0.09, "one day in twenty looks worse by chance; the test is neither deaf nor nervous"


def test_a_third_of_the_clicks_is_missed_within_two_days():
    shops = [shop(seed, 34, loss=0.3) for seed in range(40)]
    assert np.mean([verdict(days, 32).found for days in shops]) >= 0.85
    assert np.mean([verdict(days, 33).found for days in shops]) >= 0.95


def test_a_single_bad_day_is_no_loss():
    days = [clicks(number, 600, 150) for number in range(10)] + [clicks(10, 600, 60)]
    assert verdict(days, 10).days[-1].worse
    assert not verdict(days, 10).persists


def test_a_loss_too_small_to_matter_is_certain_and_no_alarm():
    days = [clicks(number, 60_000, 15_000) for number in range(10)]
    days += [clicks(number, 60_000, 13_500) for number in range(10, 13)]
    found = verdict(days, 12)
    assert (found.persists, found.certain, found.matters) == (True, True, False)
    assert found.share == pytest.approx(0.1)


@pytest.mark.parametrize("expected", [-0.5, 0.0])
def test_what_lies_below_an_expectation_of_zero_or_less_is_a_loss(expected: float):
    def skill(day: int, mean: float) -> DayMean:
        return DayMean(
            START + timedelta(day), "v1", Moments(400, 400, 400 * mean, 400 * (mean**2 + 0.5), 400 * mean, 400)
        )

    days = [
        judge_day(skill(at, -1.0), [skill(n, expected) for n in range(10)], clicks=False, least=0.2) for at in (10, 11)
    ]
    assert judge(days, loss=0.2, confidence=0.999, windows=3, needed=2).found


def test_z_is_the_two_sample_test_when_days_do_not_differ():
    reference = [clicks(number, 500, 100) for number in range(14)]
    found = judge_day(clicks(14, 500, 70), reference)
    error = np.sqrt(0.2 * 0.8 * (1 / 500 + 1 / 7000))
    assert found.z == pytest.approx((0.2 - 0.14) / error, rel=2e-3)  # C / (C - 1) of 500 customers
    assert found.worse == (norm.sf(found.z) < 0.05)


def test_customers_who_answer_alike_make_a_day_less_certain():
    apart = judge_day(clicks(14, 500, 70), [clicks(number, 500, 100) for number in range(14)])
    alike = judge_day(clicks(14, 500, 70), [clicks(number, 500, 100, customers=50) for number in range(14)])
    assert alike.own > 2 * apart.own


def test_a_weekend_that_is_always_low_is_expected_to_be_low():
    days = [clicks(number, 600, 90 if number % 7 == 6 else 180) for number in range(28)]
    assert expectation(days, 6).rate == pytest.approx(0.15, abs=0.01)
    assert expectation(days, 2).rate == pytest.approx(0.30, abs=0.01)
    assert abs(judge_day(clicks(34, 600, 90), days).z) < 1
    assert judge_day(clicks(30, 600, 90), days).z > 5


def test_no_click_at_all_is_missing_outcomes_and_no_loss():
    days = [clicks(number, 600, 150) for number in range(8)] + [clicks(number, 600, 0) for number in (8, 9, 10)]
    found = verdict(days, 10)
    assert all(each.missing for each in found.days)
    assert not found.found


COUNTS = st.tuples(st.integers(50, 900), st.floats(0, 1)).map(lambda pair: (pair[0], round(pair[0] * pair[1])))


@settings(max_examples=60, deadline=None)
@given(st.lists(COUNTS, min_size=1, max_size=20), COUNTS)
def test_every_reference_gives_a_finite_verdict(before: list[tuple[int, int]], day: tuple[int, int]):
    reference = [clicks(number, *counts) for number, counts in enumerate(before)]
    judged = judge_day(clicks(len(before), *day), reference)
    rates = [y / n for n, y in before]
    assert min(rates) - 1e-9 <= judged.expected <= max(rates) + 1e-9
    assert np.isfinite([judged.z, judged.own, judged.shared]).all()
    assert not (judged.worse and judged.rate > judged.expected)
    assert judge([judged], loss=0.2, confidence=0.999, windows=3, needed=2).found is False
