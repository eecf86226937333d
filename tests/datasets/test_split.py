from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.config.model_spec import SplitSpec
from ml_assets.datasets.split import Part, split_decisions

START = date(2011, 1, 3)


def weekly(count: int) -> list[date]:
    return [START + timedelta(days=7 * at) for at in range(count)]


def test_parts_are_counted_backwards_from_the_newest_decision():
    split = split_decisions(weekly(12), SplitSpec(train=3, validation=2, test=2, holdout=1, warmup_days=0), START, 7)
    days = weekly(12)
    assert split.holdout == (days[11],)
    assert split.test == (days[9], days[10])
    assert split.validation == (days[7], days[8])
    assert split.train == (days[4], days[5], days[6])


def test_training_waits_for_the_warmup():
    split = split_decisions(weekly(8), SplitSpec(train=9, validation=1, test=1, holdout=1, warmup_days=15), START, 7)
    assert split.train[0] == START + timedelta(days=21)


def test_too_few_decisions_say_how_many_are_needed():
    with pytest.raises(
        ValueError, match=r"3 decisions .*split: \{train: 1, validation: 1, test: 1, holdout: 0, warmup_"
    ):
        split_decisions(weekly(3), SplitSpec(train=1, validation=1, test=1, holdout=1, warmup_days=0), START, 7)


def test_the_same_season_is_the_evaluated_weeks_one_year_before():
    spec = SplitSpec(train=2, validation=1, test=2, holdout=1, warmup_days=0, same_season=True)
    split = split_decisions(weekly(60), spec, START, 7)
    evaluated = (*split.validation, *split.test, *split.holdout)
    assert set(split.train[:-2]) == {day - timedelta(days=364) for day in evaluated}
    assert split.train[-1] < split.validation[0]


@given(
    gaps=st.lists(st.integers(1, 9), min_size=1, max_size=50),
    horizon=st.integers(1, 14),
    counts=st.tuples(st.integers(1, 30), st.integers(1, 3), st.integers(1, 3), st.integers(0, 3)),
    season=st.booleans(),
)
def test_no_label_reaches_into_a_newer_part(gaps, horizon, counts, season):
    days = [START]
    for gap in gaps:
        days.append(days[-1] + timedelta(days=gap))
    spec = SplitSpec(
        train=counts[0],
        validation=counts[1],
        test=counts[2],
        holdout=counts[3],
        same_season=season,
        warmup_days=7,
    )
    try:
        split = split_decisions(days, spec, START, horizon)
    except ValueError:
        return
    newer: list[date] = []
    for part in reversed(Part):
        own = list(getattr(split, part.value))
        assert own == sorted(set(own))
        if own and newer:
            assert own[-1] + timedelta(days=horizon) <= min(newer)
        newer += own
    assert len(split.test) == counts[2]
    assert len(split.validation) == counts[1]
    assert all(day - START >= timedelta(days=7) for day in split.train)
