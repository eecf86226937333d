"""Rates and NDCG against values worked out by hand and against plain numpy."""

import math

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_assets.metrics import ranking as metrics
from ml_assets.monitoring.quality.rates import MEASURES, Moments, answers_sql, difference, moments

K = 4
CONNECTION = duckdb.connect(config={"threads": 1})


def table(rows: list[tuple], *names: str) -> pa.Table:
    return pa.table(dict(zip(names, zip(*rows, strict=True), strict=True)))


def measured(lists: list[tuple[str, list[bool], list[bool]]], k: int = K) -> dict[str, Moments]:
    """Moments of answers given as (customer, clicked by position, purchased by position)."""
    asked = [(str(number), customer, "champion") for number, (customer, _, _) in enumerate(lists)]
    shown = [
        (str(number), at + 1, *pair)
        for number, (_, clicked, purchased) in enumerate(lists)
        for at, pair in enumerate(zip(clicked, purchased, strict=True))
    ]
    CONNECTION.register("asked", table(asked, "prediction_id", "customer_id", "arm"))
    CONNECTION.register("shown", table(shown, "prediction_id", "position", "clicked", "purchased"))
    CONNECTION.execute(f"create or replace table answers as {answers_sql('asked', 'shown', k)}")
    return moments(CONNECTION, "answers", ["arm"])[("champion",)]


def test_ndcg_and_rank_of_a_list_worked_out_by_hand():
    found = measured([("a", [False, True, True], [False, False, True]), ("b", [False] * 3, [False] * 3)])
    gain, ideal = 1 / math.log2(3) + 1 / math.log2(4), 1 + 1 / math.log2(3)
    assert found["click_ndcg"].mean == pytest.approx(gain / ideal)
    assert found["purchase_ndcg"].mean == pytest.approx(1 / math.log2(4))
    assert (found["click_mrr"].mean, found["purchase_mrr"].mean) == (0.5, pytest.approx(1 / 3))
    assert (found["click_rate"].mean, found["purchase_rate"].mean) == (0.5, 0.5)
    assert (found["click_rate"].n, found["click_ndcg"].n) == (2, 1)


def test_what_lies_beyond_k_does_not_count():
    found = measured([("a", [False, False, True], [False] * 3)], k=2)
    assert (found["click_rate"].mean, found["click_ndcg"].n) == (0, 0)
    assert found["click_ndcg"].estimate.value is None


LISTS = st.lists(
    st.tuples(
        st.sampled_from("abcde"),
        st.lists(st.booleans(), min_size=K, max_size=K),
        st.lists(st.booleans(), min_size=K, max_size=K),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=20, deadline=None)
@given(LISTS)
def test_measures_are_bounded_and_equal_the_evaluations_metrics(lists):
    found = measured(lists)
    for name in MEASURES:
        if found[name].n:
            assert -1e-12 <= found[name].mean <= 1 + 1e-12
    clicks = np.array([clicked for _, clicked, _ in lists], dtype=float)
    sizes = clicks.sum(axis=1).astype(int)
    if sizes.any():
        expected = metrics.ndcg(clicks, metrics.ideal_hits(sizes, K))
        assert found["click_ndcg"].mean == pytest.approx(np.nanmean(expected))
        assert found["click_mrr"].mean == pytest.approx(np.nanmean(metrics.reciprocal_rank(clicks, sizes)))


@settings(max_examples=20, deadline=None)
@given(LISTS)
def test_variance_is_that_of_a_ratio_over_customers(lists):
    found = measured(lists)["click_rate"]
    customers = sorted({customer for customer, _, _ in lists})
    n = np.array([sum(each == customer for each, _, _ in lists) for customer in customers])
    y = np.array([sum(any(clicked) for each, clicked, _ in lists if each == customer) for customer in customers])
    if len(customers) < 2:
        assert found.estimate.error is None
        return
    expected = len(n) / (len(n) - 1) * ((y - y.sum() / n.sum() * n) ** 2).sum() / n.sum() ** 2
    assert found.variance == pytest.approx(expected, abs=1e-12)


def test_answers_of_one_customer_are_worth_less_than_those_of_many():
    apart = measured([(str(number), [number % 2 == 0], [False]) for number in range(40)])["click_rate"]
    together = measured([(str(number // 10), [number // 10 % 2 == 0], [False]) for number in range(40)])["click_rate"]
    assert apart.mean == together.mean == 0.5
    assert together.variance > 8 * apart.variance


def test_interval_of_a_difference_covers_the_truth():
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(200):
        one, other = (_moments(rng, rate) for rate in (0.30, 0.22))
        low, high = difference(one, other).interval
        covered += low <= 0.08 <= high
    assert covered / 200 == pytest.approx(0.95, abs=0.04)


def _moments(rng: np.random.Generator, rate: float) -> Moments:
    """Answers of 250 customers who differ in how much they click."""
    n = 1.0 + rng.poisson(2, 250)
    y = rng.binomial(n.astype(int), rng.beta(4 * rate, 4 * (1 - rate), 250)).astype(float)
    return Moments(250, n.sum(), y.sum(), (y * y).sum(), (y * n).sum(), (n * n).sum())
