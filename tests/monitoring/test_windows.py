from __future__ import annotations

from datetime import date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.config.model_spec import DriftSpec
from ml_assets.monitoring.drift.windows import Days, Volume, choose_days, compared_with

MONDAY = date(2026, 3, 2)
RULES = DriftSpec(reference_days=28, min_reference_days=3, windows=3)


def days(*numbers: int) -> tuple[date, ...]:
    return tuple(MONDAY + timedelta(days=number) for number in numbers)


def volumes(*numbers: int, refreshed: int = 1) -> list[Volume]:
    """Days of traffic, whose features were refreshed every so many days."""
    return [
        Volume(day=day, rows=1000, answers=100, customers=100, featureless=0, as_of=_morning(number, refreshed))
        for number, day in zip(numbers, days(*numbers), strict=True)
    ]


def _morning(number: int, refreshed: int = 1) -> datetime:
    return datetime(2026, 3, 2) + timedelta(days=number // refreshed * refreshed)


def chosen(windows: tuple[int, ...], reference: tuple[int, ...], refreshed: int = 1) -> Days:
    as_of = tuple(_morning(number, refreshed) for number in reference)
    return Days(windows=days(*windows), reference=days(*reference), left_out=(), as_of=as_of)


@pytest.mark.parametrize(
    ("seen", "windows", "reference"),
    [
        (range(4), (3,), (0, 1, 2)),
        (range(5), (3, 4), (0, 1, 2)),
        (range(6), (3, 4, 5), (0, 1, 2)),
        (range(8), (5, 6, 7), (0, 1, 2, 3, 4)),
        (range(40), (37, 38, 39), tuple(range(9, 37))),
        ((0, 1, 2, 20, 21), (20, 21), (0, 1, 2)),
    ],
)
def test_the_newest_days_are_judged_and_those_before_compared_with(seen, windows, reference):
    assert choose_days(volumes(*seen), RULES, set()) == chosen(windows, reference)


@pytest.mark.parametrize("seen", [(), (0,), (0, 1, 2)])
def test_too_few_days_make_no_reference(seen):
    assert choose_days(volumes(*seen), RULES, set()) is None


def test_days_that_drifted_are_not_compared_with():
    found = choose_days(volumes(*range(12)), RULES, set(days(6, 7, 8)))

    assert found.reference == days(0, 1, 2, 3, 4, 5)
    assert found.left_out == days(6, 7, 8)


def test_when_hardly_any_other_day_is_left_the_change_is_the_new_normal():
    found = choose_days(volumes(*range(12)), RULES, set(days(*range(2, 12))))

    assert found.reference == days(*range(9))
    assert found.left_out == ()


@given(st.sets(st.integers(0, 90), max_size=60), st.sets(st.integers(0, 90)), st.integers(3, 30), st.integers(1, 5))
def test_no_day_is_compared_with_itself_or_a_later_one(seen, alarmed, reference_days, windows):
    rules = DriftSpec(reference_days=reference_days, min_reference_days=3, windows=windows, needed=1)

    found = choose_days(volumes(*sorted(seen)), rules, set(days(*alarmed)))

    if found is None:
        assert len(seen) <= 3
        return
    assert max(found.reference) < min(found.windows)
    assert len(found.windows) <= windows
    assert 2 <= len(found.reference) <= reference_days
    compared = compared_with(found)
    assert compared.shape == (len(found.all), len(found.reference))
    assert not compared[: len(found.reference)].diagonal().any()
    assert compared.any(axis=1).all()


def test_a_day_is_compared_with_its_own_weekday_once_there_are_two():
    found = compared_with(chosen(windows=(14, 15), reference=(0, 1, 2, 3, 4, 5, 6, 7)))

    assert np.flatnonzero(found[8]).tolist() == [0, 7]  # a Monday has two Mondays
    assert np.flatnonzero(found[9]).tolist() == list(range(8))  # a Tuesday has one Tuesday
    assert np.flatnonzero(found[0]).tolist() == [7]
    assert np.flatnonzero(found[1]).tolist() == [0, 2, 3, 4, 5, 6, 7]


def test_days_with_the_same_features_say_nothing_about_usual_changes():
    found = compared_with(chosen(windows=(5,), reference=(0, 1, 2, 3, 4), refreshed=3))

    assert np.flatnonzero(found[0]).tolist() == [3, 4]
    assert np.flatnonzero(found[4]).tolist() == [0, 1, 2]
    assert found[5].all()


def test_without_a_refresh_in_it_there_is_no_reference():
    assert choose_days(volumes(*range(6), refreshed=3), RULES, set()) is None
    assert choose_days(volumes(*range(7), refreshed=3), RULES, set()) == chosen((4, 5, 6), (0, 1, 2, 3), refreshed=3)


def test_days_that_drifted_stay_when_the_others_have_no_refresh_between_them():
    found = choose_days(volumes(*range(9), refreshed=3), RULES, set(days(3, 4, 5)))

    assert found == chosen((6, 7, 8), (0, 1, 2, 3, 4, 5), refreshed=3)
