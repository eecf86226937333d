from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ml_assets.monitoring.drift.psi import GROUPS, benjamini_hochberg, measure, psi, spread_of
from ml_assets.monitoring.drift.windows import Days, compared_with

DATES = tuple(datetime(2026, 3, 2) + timedelta(days=number) for number in range(28))

COUNTS = st.tuples(st.integers(0, 2**32), st.integers(0, 40)).map(
    lambda drawn: np.random.default_rng(drawn[0]).poisson(drawn[1] / 4, (4, GROUPS, 5)).astype(float)
)


def against_others(days: int, judged: int = 1) -> np.ndarray:
    compared = np.ones((days + judged, days), bool)
    compared[np.arange(days), np.arange(days)] = False
    return compared


def traffic(rng: np.random.Generator, *, customers: int, each: int, days: int, alike: float, shift: float = 0.0):
    """Counts [days, G, 10] of a normal variable in its deciles: `alike` is its correlation within a customer."""
    edges = np.array([-1.2816, -0.8416, -0.5244, -0.2533, 0, 0.2533, 0.5244, 0.8416, 1.2816])
    counts = np.zeros((days, GROUPS, 10))
    for day in range(days):
        kind = np.repeat(rng.normal(size=customers), each)
        value = np.sqrt(alike) * kind + np.sqrt(1 - alike) * rng.normal(size=len(kind)) + shift
        group = np.repeat(rng.integers(GROUPS, size=customers), each)
        cell = group * 10 + np.searchsorted(edges, value)
        counts[day] = np.bincount(cell, minlength=GROUPS * 10).reshape(GROUPS, 10)
    return counts


def test_psi_is_the_sum_worked_out_by_hand():
    by_hand = (0.3 - 0.5) * np.log(0.3 / 0.5) + (0.7 - 0.5) * np.log(0.7 / 0.5)

    assert psi(np.array([30.0, 70.0]), np.array([50.0, 50.0])) == pytest.approx(by_hand)
    assert by_hand == pytest.approx(0.16946, abs=1e-5)


def test_psi_of_three_bins_worked_out_by_hand_with_half_a_row_added():
    # current (3 + .5, 0 + .5, 7 + .5) / 11.5, reference (5 + .5, 5 + .5, 10 + .5) / 21.5; the fourth bin is empty
    q, p = np.array([3.5, 0.5, 7.5]) / 11.5, np.array([5.5, 5.5, 10.5]) / 21.5

    found = psi(np.array([3.0, 0, 7, 0]), np.array([5.0, 5, 10, 0]), 0.5)

    assert found == pytest.approx(float(((q - p) * np.log(q / p)).sum()))


def test_psi_of_independent_rows_is_as_large_as_facts_say_it_is_by_chance():
    rng = np.random.default_rng(3)
    current, reference = rng.multinomial(500, [0.1] * 10, 2000), rng.multinomial(2000, [0.1] * 10, 2000)
    found = psi(current.astype(float), reference.astype(float)) / (1 / 500 + 1 / 2000)

    assert found.mean() == pytest.approx(9, rel=0.05)
    assert found.var() == pytest.approx(18, rel=0.15)


def test_a_row_is_worth_a_row_when_rows_are_independent():
    counts = traffic(np.random.default_rng(0), customers=4000, each=1, days=8, alike=0)

    spread = spread_of(counts, counts.sum(axis=(0, 1)))

    assert spread.day == pytest.approx(9, rel=0.15)
    assert spread.pooled == pytest.approx(9, rel=0.3)
    assert spread.freedom == pytest.approx(9, rel=0.2)


def test_ten_equal_rows_of_a_customer_are_worth_one():
    counts = traffic(np.random.default_rng(0), customers=400, each=10, days=8, alike=1)

    assert spread_of(counts, counts.sum(axis=(0, 1))).day == pytest.approx(90, rel=0.15)


def test_customers_who_return_every_day_widen_the_reference_not_the_day():
    counts = np.repeat(traffic(np.random.default_rng(0), customers=400, each=1, days=1, alike=0), 8, axis=0)

    spread = spread_of(counts, counts.sum(axis=(0, 1)))

    assert spread.pooled == pytest.approx(8 * spread.day, rel=0.01)


@pytest.mark.parametrize(("customers", "each", "alike"), [(200, 1, 0.0), (200, 10, 1.0), (60, 10, 0.5), (25, 10, 1.0)])
def test_under_no_change_p_is_honest_and_excess_has_no_bias(customers: int, each: int, alike: float):
    rng = np.random.default_rng(11)
    runs = [
        measure(traffic(rng, customers=customers, each=each, days=8, alike=alike), against_others(7))
        for _ in range(200)
    ]
    p = np.array([run.p[-1] for run in runs])
    chance = np.array([run.psi[-1] / run.noise[-1] for run in runs])

    assert np.mean(p < 0.05) <= 0.07
    assert np.mean(p < 0.01) <= 0.02
    assert 0.6 < chance.mean() < 1.1  # noise is what chance makes of it, or somewhat more


def test_clusters_ignored_would_make_chance_look_ten_times_too_small():
    rng = np.random.default_rng(11)
    honest, naive = [], []
    for _ in range(30):
        counts = traffic(rng, customers=60, each=10, days=8, alike=1)
        strangers = np.stack([rng.multinomial(1, [1 / GROUPS] * GROUPS, int(n)).sum(0) for n in counts.sum((0, 1))], 1)
        mixed = counts.sum(axis=1)[:, None, :] * strangers[None] / counts.sum((0, 1))  # each row a customer's own
        for found, kept in ((honest, counts), (naive, mixed)):
            distances = measure(kept, against_others(7))
            found.append(distances.psi[-1] / distances.noise[-1])

    assert np.mean(honest) == pytest.approx(1, abs=0.3)
    assert np.mean(naive) > 5


def test_one_customer_who_asks_for_half_a_day_is_no_drift():
    counts = traffic(np.random.default_rng(5), customers=200, each=10, days=8, alike=0)
    counts[-1, 3, 9] += 2000  # a robot that sees one kind of product

    found = measure(counts, against_others(7))

    assert found.psi[-1] > 0.5
    assert found.p[-1] > 0.01


def test_a_shift_is_found():
    rng = np.random.default_rng(5)
    counts = traffic(rng, customers=200, each=10, days=8, alike=0.5)
    counts[-1] = traffic(rng, customers=200, each=10, days=1, alike=0.5, shift=0.6)[0]

    found = measure(counts, against_others(7))

    assert found.p[-1] < 1e-4
    assert found.excess[-1] > 0.2


def test_what_every_day_of_the_reference_shows_is_no_drift():
    """A feature that follows the day: one like the others stays quiet, one much further out does not."""
    rng = np.random.default_rng(8)
    shifts = [0.5, -0.5, 0.4, -0.4, 0.5, -0.6, 0.4]
    days = [traffic(rng, customers=300, each=5, days=1, alike=0, shift=shift)[0] for shift in shifts]
    usual, far = (traffic(rng, customers=300, each=5, days=1, alike=0, shift=shift) for shift in (-0.6, 2.5))

    assert measure(np.concatenate([days, usual]), against_others(7)).excess[-1] < 0
    assert measure(np.concatenate([days, usual]), against_others(7)).psi[-1] > 0.2
    assert measure(np.concatenate([days, far]), against_others(7)).excess[-1] > 0.1


def lived(rng: np.random.Generator, shifts: list[float]) -> np.ndarray:
    return np.concatenate([traffic(rng, customers=300, each=5, days=1, alike=0, shift=shift) for shift in shifts])


def test_histories_that_grow_a_little_every_day_are_no_drift():
    counts = lived(np.random.default_rng(2), [0.03 * day for day in range(31)])

    found = measure(counts, against_others(28, judged=3))

    assert (found.psi[-3:] > 0.15).all()
    assert (found.excess[-3:] < 0.1).all()


def test_weekends_are_no_drift_but_a_weekend_on_a_thursday_is():
    week = [0.0, 0, 0, 0, 0, 1, 1]
    usual = Days(windows=DATES[26:28], reference=DATES[:26], left_out=(), as_of=DATES[:26])
    counts = lived(np.random.default_rng(2), week * 4)

    assert (measure(counts, compared_with(usual)).psi[-2:] < 0.05).all()
    assert (measure(counts, against_others(26, judged=2)).psi[-2:] > 0.3).all()

    odd = Days(windows=(DATES[24],), reference=DATES[:24], left_out=(), as_of=DATES[:24])
    counts[24] = lived(np.random.default_rng(3), [1.0])[0]
    assert measure(counts[:25], compared_with(odd)).excess[-1] > 0.3


@settings(max_examples=40, deadline=None)
@given(COUNTS, st.permutations(range(GROUPS)), st.permutations(range(5)))
def test_neither_the_order_of_groups_nor_of_bins_matters(counts, groups, bins):
    one = measure(counts, against_others(3))
    other = measure(counts[:, groups][:, :, bins], against_others(3))

    assert one.excess == pytest.approx(other.excess, abs=1e-9)
    assert one.p == pytest.approx(other.p, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(COUNTS)
def test_identical_days_have_no_excess(counts):
    found = measure(np.repeat(counts[:1], 4, axis=0), against_others(3))

    assert (found.excess <= 0).all()
    assert np.isfinite(found.p).all()
    assert (found.p > 0.3).all()


def test_a_column_that_never_changes_is_certain_not_to_drift():
    counts = np.zeros((5, GROUPS, 4))
    counts[:, :, 0] = 7

    found = measure(counts, against_others(4))

    assert found.psi.tolist() == [0] * 5
    assert found.p.tolist() == [1] * 5


def test_a_bin_the_reference_never_had_is_drift():
    counts = np.zeros((8, GROUPS, 3))
    counts[:, :, 1] = 40
    counts[-1, :, 2] = 40

    found = measure(counts, against_others(7))

    assert found.excess[-1] > 1
    assert found.p[-1] < 1e-6


def test_benjamini_hochberg_as_worked_out_by_hand():
    assert benjamini_hochberg(np.array([0.01, 0.04, 0.03, 0.005])).tolist() == pytest.approx([0.02, 0.04, 0.04, 0.02])


@given(arrays(np.float64, st.integers(1, 30), elements=st.floats(0, 1)), st.floats(0.001, 0.5))
def test_benjamini_hochberg_finds_what_the_step_up_procedure_finds(p, rate):
    ordered = np.sort(p)
    below = np.flatnonzero(ordered <= rate * np.arange(1, len(p) + 1) / len(p))
    limit = ordered[below[-1]] if len(below) else -1.0

    found = benjamini_hochberg(p) <= rate

    assert (found == (p <= limit)).all() or np.isclose(benjamini_hochberg(p), rate).any()
