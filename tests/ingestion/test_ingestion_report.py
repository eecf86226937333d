"""Counts, and the decision of the blocking check."""

import pytest
from tiny_shop import day, simulated_shop

from ml_assets.ingestion.days.report import DayReport, IngestReport, decide_quarantine

EVENTS = simulated_shop({"tables": {"events": {"max_quarantine_share": 0.1, "quarantine_min_rows": 100}}}).table(
    "events"
)


def report(*days):
    return IngestReport(
        "events",
        tuple(
            DayReport(day(n), good + bad, good, bad, {"late": bad} if bad else {}) for n, (good, bad) in enumerate(days)
        ),
    )


def test_counts_add_up():
    made = report((95, 5), (100, 0), (0, 0))
    assert (made.rows_in, made.rows_good, made.rows_quarantined, made.reasons) == (200, 195, 5, {"late": 5})
    assert made.quarantine_share == 0.025
    assert report((0, 0)).quarantine_share == 0


@pytest.mark.parametrize("counts", [(10, 8, 1, {"late": 1}), (10, 8, 2, {"late": 1})])
def test_counts_that_do_not_add_up_are_refused(counts):
    with pytest.raises(ValueError, match="do not add up"):
        DayReport(day(0), *counts)


@pytest.mark.parametrize(
    ("days", "ok", "failed"),
    [
        ([(90, 10)], True, 0),
        ([(89, 11)], False, 1),
        ([(1000, 0), (80, 20)], False, 1),  # cannot hide in the sum
        ([(1000, 0), (8, 2)], True, 0),  # too small to judge by itself
        ([(8, 2)], False, 0),  # but it is the sum here
        ([(0, 0)], True, 0),
    ],
)
def test_the_decision(days, ok, failed):
    decision = decide_quarantine(report(*days), EVENTS)
    assert (decision.ok, len(decision.failed_days)) == (ok, failed)


def test_the_decision_says_why():
    assert decide_quarantine(report((80, 20)), EVENTS).text == (
        "events: 20.00% of 100 rows quarantined, limit 10.00% (late 20); "
        "above it on 1 days, first 2026-01-01 with 20.00%"
    )
