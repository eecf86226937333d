"""Quality of predicted events from daily tables: what is found, what is no loss, and why nothing is judged."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from event_days import binary_day, event_spec, labels_until, nth, number_day, write_events

from ml_assets.config.settings import Settings
from ml_assets.monitoring.quality import event_quality as watched
from ml_assets.monitoring.quality.event_quality import EventQualityReport, event_quality, read_event_quality
from ml_assets.monitoring.quality.loss import DayMean
from ml_assets.monitoring.quality.skill import skills
from ml_assets.monitoring.quality.verdict import judge_newest, newest_days

SPEC = event_spec()


@pytest.fixture(autouse=True)
def _open_calendar(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shop of the tests ends on a day long past; these days go on."""
    calendar = type("Calendar", (), {"end": None})
    monkeypatch.setattr(watched, "source_of", lambda name, settings: type("Source", (), {"calendar": calendar}))


def judged(settings: Settings, number: int, spec=SPEC) -> EventQualityReport:
    return event_quality(spec, settings, nth(number))


def usual(settings: Settings, days: range, *, rows: int = 300, seed: int = 0, **changes) -> None:
    for number in days:
        write_events(settings, number, *binary_day(np.random.default_rng([seed, number]), rows), **changes)


def test_figures_of_a_day(settings: Settings):
    label, value = binary_day(np.random.default_rng(1), 400)
    write_events(settings, 0, label, value, named=0.9)
    labels_until(settings, 5)
    report = judged(settings, 2)
    [day] = report.days
    assert (day.answers, day.named, day.labelled, day.mature) == (400, 360, 360, True)
    assert day.observed.value == pytest.approx(label[:360].mean())
    assert day.predicted.value == pytest.approx(value[:360].mean())
    spread = np.var(label[:360], ddof=1)
    assert day.skill.value == pytest.approx(1 - np.mean((label[:360] - value[:360]) ** 2) / spread)
    [window] = report.window
    assert set(window.metrics) == {"average_precision", "auc", "logloss", "brier", "calibration_error"}
    auc = window.metrics["auc"]
    assert 0.5 < auc.low < auc.value < auc.high < 1
    assert sum(each.rows for each in window.bins) == 360
    assert (report.unnamed, report.state) == (40, "no reference yet")
    assert "40 of the window name no event" in report.text
    assert read_event_quality(settings, "tips", nth(2)) == report


def test_labels_that_have_nothing_to_do_with_predictions_are_a_loss_on_the_second_day(settings: Settings):
    usual(settings, range(8))
    for number in (8, 9):
        label, value = binary_day(np.random.default_rng(number), 300)
        write_events(settings, number, np.random.default_rng(7).permutation(label), value)
    labels_until(settings, 30)
    reports = {number: judged(settings, number) for number in (7, 8, 9)}
    assert [each.loss for each in reports.values()] == [False, False, True]
    assert {each.state for each in reports.values()} == {"judged"}
    assert [each.day for each in reports[9].verdict.days if each.worse] == [nth(8), nth(9)]
    assert "loss of skill on 2026-03-10, 2026-03-11" in reports[9].text
    usual(settings, range(10, 13))
    assert not judged(settings, 12).loss, "all three days are as usual again"


def test_what_was_lost_is_expected_of_no_later_day(settings: Settings):
    usual(settings, range(8))
    for number in range(8, 16):
        label, value = binary_day(np.random.default_rng(number), 300)
        write_events(settings, number, 1 - label, value)
    labels_until(settings, 40)
    assert [judged(settings, number).loss for number in range(8, 16)] == [False, *[True] * 7]


def test_a_moved_base_rate_that_the_model_follows_is_no_loss(settings: Settings):
    usual(settings, range(8))
    for number in (8, 9, 10):
        write_events(settings, number, *binary_day(np.random.default_rng(number), 300, rate=0.22))
    labels_until(settings, 30)
    assert not judged(settings, 10).loss


def test_days_with_few_labels_are_no_alarm_and_say_so(settings: Settings):
    usual(settings, range(8), rows=40)
    labels_until(settings, 30)
    report = judged(settings, 7)
    assert (report.state, report.passed) == ("too few labelled rows", None)
    assert "a day is judged from 50 on" in report.text


def test_labels_are_complete_by_the_clock_of_the_source(settings: Settings):
    usual(settings, range(8))
    labels_until(settings, 6)
    report = judged(settings, 7)
    assert (report.complete, report.mature) == (nth(3), False)
    assert [each.mature for each in report.days] == [True] * 4 + [False] * 4
    labels_until(settings, 2)
    assert judged(settings, 7).state == "outcomes still form"


def test_labels_that_stop_arriving_are_missing(settings: Settings):
    usual(settings, range(6))
    label, value = binary_day(np.random.default_rng(6), 300)
    write_events(settings, 6, np.full(300, np.nan), value)
    labels_until(settings, 30)
    report = judged(settings, 6)
    assert (report.state, report.passed, report.loss) == ("outcomes missing", False, False)
    assert "of 300 named events of 2026-03-08 0 have a label" in report.text
    write_events(settings, 6, np.where(np.arange(300) < 90, label, np.nan), value)
    assert judged(settings, 6).state == "outcomes missing", "those that arrive may not be like the others"


def test_a_source_that_stands_still_while_the_service_is_asked_lacks_labels(settings: Settings):
    usual(settings, range(20, 24))
    labels_until(settings, 2)
    assert judged(settings, 23).state == "outcomes missing"


def test_events_that_nobody_named_are_counted_and_never_missing(settings: Settings):
    usual(settings, range(5), named=0.0)
    labels_until(settings, 30)
    report = judged(settings, 4)
    assert (report.state, report.passed, report.unnamed) == ("too few labelled rows", None, 1500)


def test_when_the_calendar_has_ended_every_label_is_there(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    usual(settings, range(100, 108))
    labels_until(settings, 10)
    calendar = type("Calendar", (), {"end": nth(10)})
    monkeypatch.setattr(watched, "source_of", lambda name, settings: type("Source", (), {"calendar": calendar}))
    report = judged(settings, 107)
    assert (report.state, report.complete) == ("judged", nth(107))
    write_events(settings, 108, np.full(300, np.nan), binary_day(np.random.default_rng(8), 300)[1])
    assert judged(settings, 108).passed is not False, "nobody can know what becomes of events after the end"
    labels_until(settings, 8)
    assert judged(settings, 107).state == "judged", "the last days of the calendar had no event"


def test_no_traffic(settings: Settings):
    labels_until(settings, 3)
    report = judged(settings, 3)
    assert (report.state, report.passed, report.version) == ("no traffic", None, None)


def verdicts(days: list[tuple[np.ndarray, np.ndarray]], *, binary: bool) -> list[bool]:
    """Whether each day from the fifth on is a loss, as `event_quality` decides it, found losses apart."""
    import duckdb
    import pyarrow as pa

    rows = [len(label) for label, _ in days]
    table = pa.table(
        {
            "day": np.repeat(np.arange(len(days)), rows), "unit": np.arange(sum(rows)).astype(str),
            "label": np.concatenate([label for label, _ in days]), "value": np.concatenate([each for _, each in days]),
        }
    )  # fmt: skip
    with duckdb.connect() as connection:
        connection.register("rows", table)
        connection.execute("create temp table scored as select *, day as number from rows")
        found = skills(connection, "scored", ["number"], binary=binary)
    means = [DayMean(nth(int(number)), "v1", each) for (number,), each in sorted(found.items())]
    told = []
    for at in range(5, len(means) + 1):
        newest = newest_days(means[:at], means[at - 1].day, SPEC.monitoring.drift.windows)
        verdict = judge_newest(SPEC, newest, means[:at], set(), otherwise=lambda one, before: (), clicks=False)
        told.append(verdict is not None and verdict.found)
    return told


@pytest.mark.parametrize("kind", ["binary", "rare", "number", "uneven", "useless"])
def test_false_alarms_are_rarer_than_promised(kind: str):
    """40 histories of 30 days in which nothing changes, but the days' sizes: an alarm a year at most.

    Where days differ in how large errors are, by 15 %, three times as many.
    """
    rng, alarms, days = np.random.default_rng(11), 0, 0
    for _ in range(40):
        sizes = rng.integers(60, 500, size=30)
        made = [a_day(kind, rng, size) for size in sizes]
        told = verdicts(made, binary=kind in {"binary", "rare"})
        alarms, days = alarms + sum(told), days + len(told)
    assert days > 900
    assert alarms <= (3 if kind == "uneven" else 1) * days / 365


def a_day(kind: str, rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    if kind in {"binary", "rare"}:
        return binary_day(rng, size, rate=0.3 if kind == "binary" else 0.1)
    label, value = number_day(rng, size)
    if kind == "useless":  # explains nothing: its skill is about -0.3
        return label, rng.permutation(value)
    return value + (label - value) * (np.exp(0.15 * rng.normal()) if kind == "uneven" else 1), value


@pytest.mark.parametrize("kind", ["binary", "number"])
@pytest.mark.parametrize("change", ["shuffled", "flipped"])
def test_a_concept_that_changes_is_found(kind: str, change: str):
    rng, found, early = np.random.default_rng(12), 0, 0
    for _ in range(20):
        made = [number_day(rng, 250) if kind == "number" else binary_day(rng, 250) for _ in range(14)]
        for at in range(10, 14):
            label, value = made[at]
            middle = label.min() + label.max() if kind == "binary" else 2 * label.mean()
            made[at] = (rng.permutation(label) if change == "shuffled" else middle - label, value)
        told = verdicts(made, binary=kind == "binary")
        early += sum(told[: 10 - 4])
        found += told[11 - 4]
    assert found >= 19, "on its second day"
    assert early <= 1, "of 120 days before the change"


def test_a_model_that_explains_nothing_can_still_become_worse():
    rng, found, early = np.random.default_rng(13), 0, 0
    for _ in range(20):
        made = [a_day("useless", rng, 250) for _ in range(12)]
        made[10:] = [(label, 3 * value) for label, value in made[10:]]
        told = verdicts(made, binary=False)
        early, found = early + sum(told[: 10 - 4]), found + told[11 - 4]
    assert (found, early) == (20, 0), "predictions three times too large are found on the second day, and only then"


def test_days_before_are_of_the_reference_time_only(settings: Settings):
    usual(settings, range(58, 64))
    usual(settings, range(4))
    labels_until(settings, 90)
    assert judged(settings, 63).verdict.days[-1].reference_days == 3
    assert judged(settings, 63).window_from == nth(63) - timedelta(days=27)
