"""Service levels of a day, counted by hand."""

from datetime import timedelta

import pytest
from prediction_days import MODEL, MONDAY, Day

from ml_assets.config.settings import Settings
from ml_assets.monitoring.service_level import read_level, service_level


def test_latency_is_that_of_the_days_answers(settings: Settings):
    day = Day(MONDAY)
    for milliseconds in range(1, 101):
        day.answer(latency_ms=float(milliseconds), hour=9 if milliseconds <= 50 else 10)
    day.answer(arm="shadow", latency_ms=5000.0)
    day.write(settings)
    report = service_level(MODEL, settings, MONDAY)
    assert (report.answers, report.state, report.ok) == (100, "judged", True)
    assert report.p50_ms == pytest.approx(50.5)
    assert report.p99_ms == pytest.approx(99.01)
    assert [(each.name, each.answers, each.p50_ms) for each in report.hours] == [
        ("09:00", 50, 25.5),
        ("10:00", 50, 75.5),
    ]
    assert read_level(settings, MODEL.name, MONDAY) == report


def test_slow_answers_break_the_promise(settings: Settings):
    day = Day(MONDAY)
    for number in range(100):
        day.answer(latency_ms=400.0 if number < 3 else 4.0)
    report = service_level(MODEL, day.write(settings) and settings, MONDAY)
    assert not report.ok
    assert report.text.startswith(f"{MONDAY}: p99 is 400.0 ms, promised are 100")


def test_errors_of_the_service_count_and_mistakes_of_callers_do_not(settings: Settings):
    day = Day(MONDAY)
    for _ in range(96):
        day.answer()
    for status in (422, 422, 404, 413):
        day.refuse(status)
    day.write(settings)
    calm = service_level(MODEL, settings, MONDAY)
    assert (calm.ok, calm.errors, calm.refused, calm.refused_share) == (True, 0, 4, 0.04)
    for _ in range(4):
        day.refuse(503, hour=15)
    day.write(settings)
    broken = service_level(MODEL, settings, MONDAY)
    assert not broken.ok
    assert broken.error_share == pytest.approx(0.04)
    assert ("15:00", 0, 4) in [(each.name, each.answers, each.errors) for each in broken.hours]


def test_degraded_and_fallback_answers_are_told_apart(settings: Settings):
    day = Day(MONDAY)
    for number in range(100):
        match number:
            case 0:
                day.answer(degraded=["model"], arm="fallback", served_by="bento:1/78")
            case 1 | 2:
                day.answer(degraded=["features"])
            case _:
                day.answer()
    report = service_level(MODEL, day.write(settings) and settings, MONDAY)
    assert (report.degraded_share, report.fallback_share) == (0.03, 0.01)
    assert report.degraded == {"features": 2, "model": 1}
    assert not report.ok
    assert {each.name: (each.answers, each.degraded) for each in report.workers} == {
        "bento:1/77": (99, 2),
        "bento:1/78": (1, 1),
    }


def test_an_outage_is_judged_though_nothing_was_answered(settings: Settings):
    day = Day(MONDAY)
    day.refuse(500)
    report = service_level(MODEL, day.write(settings) and settings, MONDAY)
    assert (report.state, report.ok, report.error_share, report.p99_ms) == ("judged", False, 1.0, None)


@pytest.mark.parametrize("published", [True, False])
def test_silence_is_a_state_of_its_own_and_suspicious_after_traffic(settings: Settings, published: bool):
    if published:
        Day(MONDAY).write(settings)
    quiet = service_level(MODEL, settings, MONDAY)
    assert (quiet.state, quiet.ok) == ("no traffic", True)
    before = Day(MONDAY - timedelta(days=2))
    before.answer()
    before.write(settings)
    silent = service_level(MODEL, settings, MONDAY)
    assert (silent.state, silent.ok) == ("no traffic", False)
    assert "but 1 in the 7 days before" in silent.text
