"""Skew of predicted events: what the caller sent against what the booster saw; the join itself is tested with lists."""

from __future__ import annotations

import numpy as np
import pytest
from event_days import event_spec, nth, write_events

from ml_assets.config.settings import Settings
from ml_assets.monitoring.skew import recompute
from ml_assets.monitoring.skew.daily import skew
from ml_assets.registry.versions import publish_version

SPEC = event_spec()


@pytest.fixture(autouse=True)
def _no_views(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model of nothing but what is sent along: there is nothing to join."""
    monkeypatch.setattr(recompute, "_views", lambda spec, settings, rows, keys: {})


def day(settings: Settings, seen: list[float], **changes: object) -> None:
    version = publish_version(
        settings, "tips", "tree\n", run_id="run", features=("request__size",), params={}, training_set="none",
        metrics={}, created_from={},
    ).version  # fmt: skip
    said = ['{"size":0.1}', '{"size":null}', '{"size":7.0}']
    columns = {"request": said, "request__size": seen, "keys": ['{"place":"here"}'] * 3, **changes}
    write_events(settings, 0, np.zeros(3), np.full(3, 0.5), version=version, **columns)


def test_what_was_sent_is_what_the_booster_saw(settings: Settings):
    day(settings, [0.1, np.nan, 7.0])
    report = skew(SPEC, settings, nth(0))
    assert (report.state, report.ok, report.rows, report.worst) == ("judged", True, 3, 0.0)


def test_a_value_that_was_not_sent_is_named_with_its_event(settings: Settings):
    day(settings, [0.1, 0.0, 7.0])
    report = skew(SPEC, settings, nth(0))
    [feature] = report.features
    assert (report.ok, feature.differing) == (False, 1)
    assert '/ e-2026-03-02-1 / {"place":"here"}: served 0, recomputed nan' in feature.example


def test_degraded_events_are_left_out(settings: Settings):
    day(settings, [0.1, 0.0, 7.0], degraded=[[], ["features"], []])
    report = skew(SPEC, settings, nth(0))
    assert (report.ok, report.rows, report.degraded) == (True, 2, 1)
