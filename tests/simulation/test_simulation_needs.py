"""Habits and wishes, as sets of unique (customer, product) pairs."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.simulation.needs import ONCE, PATIENCE, Needs

entries = st.lists(st.tuples(st.integers(0, 20), st.sampled_from([ONCE, 7.0, 30.0]), st.integers(0, 60)), max_size=30)


def _columns(rows):
    return (
        np.array([key for key, _, _ in rows], dtype=np.int64),
        np.array([cycle for _, cycle, _ in rows], dtype=np.float64),
        np.array([due for _, _, due in rows], dtype=np.float64),
    )


@given(first=entries, second=entries)
def test_joining_keeps_keys_unique_and_sorted_and_no_habit_is_lost(first, second):
    needs = Needs.none().joined(*_columns(first)).joined(*_columns(second))
    assert (np.diff(needs.key) > 0).all()
    assert set(needs.key.tolist()) == {key for key, _, _ in first + second}
    habits = {key for key, cycle, _ in first + second if cycle}
    assert set(needs.key[needs.cycle > ONCE].tolist()) == habits


@given(rows=entries, day=st.integers(0, 90))
def test_habits_get_more_urgent_with_every_day(rows, day):
    needs = Needs.none().joined(*_columns(rows))
    assert (needs.urgency(day + 1) >= needs.urgency(day)).all()
    assert ((needs.urgency(day) >= 0) & (needs.urgency(day) <= 1)).all()


@given(rows=entries, day=st.integers(0, 90))
def test_only_stale_wishes_are_forgotten(rows, day):
    needs = Needs.none().joined(*_columns(rows))
    lost = set(needs.key.tolist()) - set(needs.remembered(day).key.tolist())
    stale = (needs.cycle == ONCE) & (day > needs.due + PATIENCE)
    assert lost == set(needs.key[stale].tolist())


@given(rows=entries)
def test_looking_up_finds_each_need_and_nothing_else(rows):
    needs = Needs.none().joined(*_columns(rows))
    keys = np.arange(25)
    urgency, habit = needs.look_up(keys, 60)
    known = np.isin(keys, needs.key)
    assert ((urgency > 0) <= known).all()
    assert (habit == np.isin(keys, needs.key[needs.cycle > ONCE])).all()
