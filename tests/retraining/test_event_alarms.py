"""Alarms of predicted events: seen on the days on which the service is asked, whatever the newest label's day is."""

from __future__ import annotations

from datetime import date

from ml_assets.config.model_spec import ModelSpec, SplitSpec
from ml_assets.config.settings import Settings
from ml_assets.monitoring.quality.event_quality import EventQualityReport
from ml_assets.monitoring.quality.loss import DayLoss, Loss
from ml_assets.monitoring.reports import write_report
from ml_assets.retraining.alarms import quality_alarm, watched_until
from ml_assets.retraining.facts import Alarm

MODEL = {"name": "tips", "description": "d", "spine": "s", "feature_service": "f"}
SPEC = ModelSpec.model_validate({**MODEL, "task": "binary", "split": {"train": 30, "validation": 6, "test": 10}})
TODAY = date(2026, 4, 10)


def judged(day: date, found: Loss | None) -> EventQualityReport:
    return EventQualityReport(
        model="tips", day=day, state="judged", loss=bool(found and found.found), text="skill", mature=True,
        complete=day, version="v1", skill=0.1, answers=100, unnamed=0, window_from=day, window=(), days=(),
        verdict=found, promise=None,
    )  # fmt: skip


def loss(*days: int) -> Loss:
    judged = tuple(
        DayLoss(day=date(2026, 4, day), version="v1", answers=90, rate=0.1, expected=0.4, own=0.05, shared=0.01,
                reference_days=9, z=5.0, worse=True, missing=False)
        for day in days
    )  # fmt: skip
    return Loss(days=judged, share=0.7, z=7.0, persists=True, certain=True, matters=True)


def test_the_reports_are_read_as_the_monitoring_writes_them(settings: Settings):
    write_report(settings, "tips", "quality", date(2026, 4, 15), judged(date(2026, 4, 15), loss(11, 12)))
    write_report(settings, "tips", "drift", date(2026, 4, 15), judged(date(2026, 4, 15), None))
    until = watched_until(SPEC, settings, TODAY)
    assert until == date(2026, 4, 16)
    assert quality_alarm(SPEC, settings, until) == Alarm(date(2026, 4, 11), "skill")
    assert watched_until(ModelSpec.model_validate(MODEL), settings, TODAY) == TODAY


def test_nothing_watched_yet(settings: Settings):
    assert watched_until(SPEC, settings, TODAY) == TODAY


def test_a_retraining_of_events_learns_from_as_many_days_and_judges_on_few():
    assert SPEC.retraining.split == SplitSpec(train=30, validation=6, test=3, holdout=0)
    own = ModelSpec.model_validate({**MODEL, "task": "binary", "retraining": {"split": {"train": 5}}})
    assert own.retraining.split == SplitSpec(train=5)
    assert ModelSpec.model_validate(MODEL).retraining.split.train == 8
