from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ml_assets.metrics import ranking as metrics
from ml_assets.metrics.ranking import Truth


def one_list(listed: list[int], truth: dict[int, float]) -> dict[str, float]:
    lists = np.full((1, 20), -1)
    lists[0, : len(listed)] = listed
    items = list(truth)
    held = Truth(1, np.zeros(len(items), dtype=int), np.array(items, dtype=int), np.array(list(truth.values())))
    found = metrics.group_metrics(lists, held, np.full((1, 20), 0.25))
    return {name: float(values[0]) for name, values in found.items()}


def test_values_computed_by_hand():
    found = one_list([5, 9, 7, 1], {9: 10.0, 1: 2.0, 8: 4.0})
    dcg = 1 / math.log2(3) + 1 / math.log2(5)
    ideal = 1 + 1 / math.log2(3) + 1 / math.log2(4)
    assert found["ndcg_10"] == pytest.approx(dcg / ideal)
    assert found["recall_20"] == pytest.approx(2 / 3)
    assert found["map_12"] == pytest.approx((1 / 2 + 2 / 4) / 3)
    assert found["mrr"] == pytest.approx(1 / 2)
    money = 10 / math.log2(3) + 2 / math.log2(5)
    assert found["revenue_ndcg_10"] == pytest.approx(money / (10 + 4 / math.log2(3) + 2 / math.log2(4)))
    assert found["novelty_10"] == pytest.approx(2.0)


def test_recall_of_a_perfect_list_is_one_however_large_the_truth():
    assert one_list(list(range(20)), dict.fromkeys(range(50), 1.0))["recall_20"] == 1.0


def test_an_empty_list_scores_zero_and_an_empty_truth_nothing():
    assert one_list([], {1: 1.0})["ndcg_10"] == 0.0
    assert math.isnan(one_list([1, 2], {})["ndcg_10"])


def test_hits_beyond_the_cut_do_not_count():
    listed = list(range(20))
    assert one_list(listed, {10: 1.0})["ndcg_10"] == 0.0
    assert one_list(listed, {12: 1.0})["map_12"] == 0.0
    assert one_list(listed, {12: 1.0})["recall_20"] == 1.0


def test_a_slice_of_the_truth_leaves_out_groups_without_it():
    truth = Truth(2, np.array([0, 0, 1]), np.array([1, 2, 1]), np.ones(3))
    lists = np.full((2, 20), -1)
    lists[:, :2] = [[2, 1], [1, 2]]
    sliced = metrics.relevance_metric("mrr", metrics.match(lists, truth), truth, np.array([True, False, False]))
    assert sliced[0] == 0.5
    assert math.isnan(sliced[1])


def test_coverage_counts_distinct_products_of_the_first_ten():
    lists = np.array([[0, 1] + [7] * 18, [1, 2] + [-1] * 18])
    assert metrics.coverage(lists, catalogue=8, k=2) == pytest.approx(3 / 8)


def test_an_unknown_metric_is_refused_by_name():
    with pytest.raises(ValueError, match="known are ndcg_10"):
        metrics.relevance_metric("auc", np.zeros((0, 20), int), Truth(0, *[np.zeros(0, int)] * 2, np.zeros(0)))


@given(
    score=hnp.arrays(np.float64, st.integers(0, 40), elements=st.integers(0, 5).map(float)),
    k=st.integers(1, 6),
    data=st.data(),
)
def test_top_k_is_the_sorted_prefix_of_each_group(score, k, data):
    group = np.sort(data.draw(hnp.arrays(np.int64, len(score), elements=st.integers(0, 3))))
    row, rank = metrics.top_k(score, group, k)
    for one in np.unique(group):
        mine = np.flatnonzero(group == one)
        expected = sorted(mine, key=lambda at: (-score[at], at))[:k]
        assert [int(at) for at in row[group[row] == one]] == expected
        assert rank[group[row] == one].tolist() == list(range(1, len(expected) + 1))


@given(data=st.data(), items=st.integers(1, 30))
def test_metrics_are_within_bounds_and_the_ideal_list_is_perfect(data, items):
    truth = data.draw(st.dictionaries(st.integers(0, items), st.floats(0.5, 9), min_size=1, max_size=15))
    listed = data.draw(st.permutations(range(items + 1)))[:20]
    found = one_list(listed, truth)
    assert all(-1e-9 <= found[name] <= 1 + 1e-9 for name in metrics.RELEVANCE_METRICS)
    best = one_list(sorted(truth, key=lambda item: -truth[item]), truth)
    assert all(best[name] == pytest.approx(1.0) for name in metrics.RELEVANCE_METRICS)
