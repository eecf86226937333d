"""What a contract says of a number means the same in Python and in SQL."""

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.config.numbers import ANY, MOST, Bounds

limits = st.none() | st.sampled_from([-3.5, 0.0, 1.0, 7.25])
numbers = st.sampled_from([-3.5, -1.0, 0.0, 0.5, 1.0, 7.0, 7.25, 8.0]) | st.floats(-MOST, MOST, width=32)


@given(st.builds(Bounds, limits, limits, limits, st.booleans()), numbers)
def test_what_is_refused_in_python_is_refused_in_sql(bounds, number):
    [(broken,)] = duckdb.execute(f"select {bounds.broken_sql('x')} from (select $1::double as x)", [number]).fetchall()
    assert broken is not bounds.holds(number)


@pytest.mark.parametrize(
    ("bounds", "asked"),
    [
        (Bounds(min=0, max=1, whole=True), "a whole number of at least 0 and at most 1"),
        (Bounds(above=0), "a number of more than 0"),
        (Bounds(max=0.1), "a number of at most 0.1"),
        (ANY, "a number"),
    ],
)
def test_it_says_what_is_asked(bounds, asked):
    assert bounds.asked == asked
