from __future__ import annotations

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_assets.monitoring.drift.bins import VALUES, Bins, CategoryBins, NumberBins, number_bins

NUMBERS = st.lists(st.integers(-50, 50).map(float) | st.just(float("nan")), min_size=1, max_size=80)


def binned(bins: Bins, values: list) -> list[int]:
    """The bins as SQL finds them."""
    kind = "float" if isinstance(bins, NumberBins) else "varchar"
    with duckdb.connect() as connection:
        connection.execute(f'create table rows (n integer, "{bins.column}" {kind})')
        connection.executemany("insert into rows values (?, ?)", list(enumerate(values)))
        return [found for (found,) in connection.execute(f"select {bins.sql} from rows order by n").fetchall()]


def test_deciles_hold_a_tenth_each():
    values = np.random.default_rng(0).normal(size=10_000).astype(np.float32)
    bins = number_bins("x", values)

    share = np.bincount(np.searchsorted(bins.edges, values), minlength=10) / len(values)

    assert bins.size == 11
    assert share == pytest.approx(np.full(10, 0.1), abs=0.001)


def test_few_values_get_a_bin_each():
    bins = number_bins("x", [3.0, 1.0, 2.0, 2.0, float("nan")])

    assert bins.edges == (1, 2, 3)
    assert binned(bins, [None, 1.0, 2.0, 3.0, 4.0, 0.5, float("nan")]) == [0, 1, 2, 3, 4, 1, 0]


def test_a_frequent_value_is_cut_off_from_what_lies_below_it():
    """95 % are 1: the rest below would share its bin."""
    values = [1.0] * 950 + [0.2 + 0.001 * number for number in range(50)]
    bins = number_bins("x", values)

    assert binned(bins, [0.99, 1.0, 1.01]) == [1, 2, 3]
    assert bins.labels == ("missing", "≤ 1", "1", "> 1")


def test_nothing_but_missing_values_makes_one_bin_of_the_rest():
    bins = number_bins("x", [float("nan")] * 5)

    assert bins.edges == ()
    assert binned(bins, [None, 7.0]) == [0, 1]
    assert len(bins.labels) == bins.size == 2


@pytest.mark.parametrize("change", [lambda x: 2 * x + 64, lambda x: x**3, lambda x: np.exp2(x / 4)])
@settings(max_examples=25, deadline=None)
@given(reference=NUMBERS, current=NUMBERS)
def test_a_strictly_increasing_change_of_the_values_changes_no_bin(change, reference, current):
    reference, current = np.array(reference, np.float32), np.array(current, np.float32)
    before, after = number_bins("x", reference), number_bins("x", change(reference).astype(np.float32))

    assert len(before.edges) == len(after.edges)
    assert np.searchsorted(np.float32(before.edges), current).tolist() == (
        np.searchsorted(np.float32(after.edges), change(current).astype(np.float32)).tolist()
    )


@settings(max_examples=15, deadline=None)
@given(reference=NUMBERS, current=NUMBERS)
def test_sql_finds_the_bin_that_the_edges_mean(reference, current):
    bins = number_bins("x", reference)
    values = np.array(current, np.float32)
    expected = np.where(np.isnan(values), 0, 1 + np.searchsorted(np.float32(bins.edges), values))

    assert binned(bins, current) == expected.tolist()


@given(NUMBERS, st.randoms())
def test_the_order_of_the_rows_does_not_matter(values, random):
    shuffled = random.sample(values, len(values))

    assert number_bins("x", values) == number_bins("x", shuffled)


@given(st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True), max_size=60))
def test_every_bin_has_a_label_and_edges_ascend(values):
    bins = number_bins("x", values)

    assert len(bins.labels) == bins.size <= 2 * VALUES
    assert list(bins.edges) == sorted(set(bins.edges))
    assert np.isfinite(bins.edges).all()


def test_categories_missing_and_new_ones_have_bins_of_their_own():
    bins = CategoryBins("x", ("shoes", "men's"))

    assert binned(bins, ["men's", None, "shoes", "never seen"]) == [2, 0, 1, 3]
    assert bins.labels == ("missing", "shoes", "men's", "other")


def test_without_any_category_everything_is_other():
    assert binned(CategoryBins("x", ()), ["a", None]) == [1, 0]
