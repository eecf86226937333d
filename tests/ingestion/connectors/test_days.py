"""To which day an arrival belongs."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.ingestion.connectors.days import Days, day_of

RULE = Days(date(2026, 1, 1), date(2026, 1, 31), date(2026, 1, 20))


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (datetime(2026, 1, 2, 23, tzinfo=timezone(timedelta(hours=-2))), date(2026, 1, 3)),
        (datetime(2026, 1, 2, 23), date(2026, 1, 2)),
        (date(2026, 1, 2), date(2026, 1, 2)),
        ("2026-01-02T23:30:00-01:00", date(2026, 1, 3)),
        (" 2026-01-02 ", date(2026, 1, 2)),
        ("20260102T101112Z", date(2026, 1, 2)),
        (1767312000, date(2026, 1, 2)),
        (1767312000123, date(2026, 1, 2)),
        ("yesterday", None),
        (None, None),
        (True, None),
        (float("nan"), None),
        (1e300, None),
    ],
)
def test_a_day_is_found_in_whatever_says_one(value, found):
    assert day_of(value) == found


def test_the_first_claim_that_can_be_counts():
    assert RULE.of(None, "?", "2026-01-05", "2026-01-06") == date(2026, 1, 5)
    assert RULE.of("2026-01-21", datetime(2026, 1, 19, tzinfo=UTC)) == date(2026, 1, 19)  # not over yet: a wrong clock


def test_without_a_claim_it_is_the_day_of_the_landing():
    assert RULE.of(None) == date(2026, 1, 20)


@given(st.one_of(st.none(), st.text(), st.datetimes(), st.dates(), st.integers(), st.floats()))
def test_every_arrival_has_a_day_of_the_calendar(claim):
    assert RULE.start <= RULE.of(claim) <= RULE.landed_on
