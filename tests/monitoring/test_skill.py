"""The skill against hand-made figures, and what it does when only the base rate moves."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ml_assets.monitoring.quality.skill import means, skills

BY = ["version"]


def measured(label: np.ndarray, value: np.ndarray, *, day: object = 0, unit: object = None, binary: bool = False):
    rows = len(label)
    table = pa.table(
        {
            "version": ["v"] * rows, "day": np.broadcast_to(day, rows), "value": value,
            "unit": [str(each) for each in (np.arange(rows) if unit is None else unit)],
            "label": pa.array(label, from_pandas=True),
        }
    )  # fmt: skip
    with duckdb.connect() as connection:
        connection.register("rows", table)
        found = skills(connection, "rows", BY, binary=binary), means(connection, "rows", BY)
        return found[0].get(("v",)), [each.get(("v",)) for each in found[1]]


def test_it_is_one_less_the_squared_error_over_the_variance():
    label, value = np.array([1.0, 2, 4, 7, 9]), np.array([1.5, 2, 3, 6, 10])
    found, (labels, values, gaps) = measured(label, value)
    assert found.mean == pytest.approx(1 - np.mean((label - value) ** 2) / np.var(label, ddof=1))
    assert found.n == pytest.approx(5)
    assert (labels.mean, values.mean, gaps.mean) == pytest.approx((4.6, 4.5, 0.1))


def test_days_are_centred_each_by_its_own_mean():
    rng = np.random.default_rng(1)
    label, value = rng.normal(size=200), rng.normal(size=200) * 0.1
    day = np.repeat([0, 1], 100)
    moved = measured(label + 100.0 * day, value + 100.0 * day, day=day)[0]
    assert moved.mean == pytest.approx(measured(label, value, day=day)[0].mean)


def test_rows_without_a_label_do_not_count_and_equal_labels_say_nothing():
    label = np.array([1.0, 2, np.nan, 4])
    assert measured(label, np.ones(4))[0].n == pytest.approx(3)
    assert measured(np.ones(50), np.ones(50))[0] is None
    assert measured(np.full(4, np.nan), np.ones(4))[0] is None


def test_a_binary_day_needs_some_of_each_label():
    label = np.r_[np.ones(9), np.zeros(200)]
    assert measured(label, np.full(209, 0.1), binary=True)[0] is None
    assert measured(np.r_[label, 1], np.full(210, 0.1), binary=True)[0] is not None


@given(st.integers(0, 10_000), st.floats(1e-4, 1e4), st.floats(-1e3, 1e3))
@hypothesis_settings(max_examples=25, deadline=None)
def test_neither_unit_nor_origin_matter(seed: int, scale: float, shift: float):
    rng = np.random.default_rng(seed)
    label, value = rng.normal(size=60), rng.normal(size=60)
    one, other = measured(label, value)[0], measured(label * scale + shift, value * scale + shift)[0]
    assert other.mean == pytest.approx(one.mean, rel=1e-6, abs=1e-6)
    assert other.variance == pytest.approx(one.variance, rel=1e-5)


def test_the_standard_error_is_that_of_many_repetitions():
    rng = np.random.default_rng(3)
    found = [measured(*days(rng, 300))[0] for _ in range(150)]
    assert np.std([each.mean for each in found]) == pytest.approx(
        np.mean([np.sqrt(each.variance) for each in found]), rel=0.2
    )


def test_events_asked_twice_are_worth_one():
    label, value = days(np.random.default_rng(4), 300)
    twice = measured(np.tile(label, 2), np.tile(value, 2), unit=np.tile(np.arange(300), 2))[0]
    assert twice.variance == pytest.approx(measured(label, value)[0].variance, rel=0.05)


def days(rng: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    value = rng.normal(size=rows)
    return value + rng.normal(size=rows), value
