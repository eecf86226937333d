"""Drift, service level and pages of predicted events: the same rules on the same kind of days."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from event_days import event_spec, nth, write_events
from page_reader import read

from ml_assets.config.settings import Settings
from ml_assets.monitoring.drift.daily import drift
from ml_assets.monitoring.drift.evidently import draw
from ml_assets.monitoring.report.pages import drift_page, level_page
from ml_assets.monitoring.service_level import service_level
from ml_assets.registry.versions import publish_version

SPEC = event_spec()
FEATURES = ("request__size", "place__trips", "place__idle")


def features(rng: np.random.Generator, rows: int) -> dict[str, np.ndarray]:
    place = rng.integers(40, size=rows)
    size, idle = rng.normal(size=rows), rng.normal(size=rows)
    return {"request__size": size, "place__trips": place.astype(float), "place__idle": idle}


@pytest.fixture
def version(settings: Settings) -> str:
    import lightgbm

    x = np.stack(list(features(np.random.default_rng(0), 600).values()), axis=1)
    data = lightgbm.Dataset(x, x[:, 0] + 0.05 * x[:, 1], feature_name=list(FEATURES))
    params = {"num_leaves": 7, "num_threads": 1, "verbosity": -1}
    text = lightgbm.train(params, data, num_boost_round=20).model_to_string()
    return publish_version(
        settings, "tips", text, "run", features=FEATURES, params={}, training_set="", metrics={}, created_from={}
    ).version


def day(settings: Settings, number: int, version: str, *, shift: float = 0.0, rows: int = 400, **changes: Any) -> None:
    rng = np.random.default_rng([3, number])
    found = features(rng, rows)
    found["request__size"] = found["request__size"] + shift
    value = 1 / (1 + np.exp(-found["request__size"]))
    keys = [f'{{"place":"{int(at)}"}}' for at in found["place__trips"]]
    write_events(settings, number, np.zeros(rows), value, version=version, keys=keys, **{**found, **changes})


def moment(number: int) -> datetime:
    return datetime(*nth(number).timetuple()[:3])


def test_days_that_are_alike_do_not_drift_though_nothing_was_refreshed(settings: Settings, version: str):
    for number in range(8):
        day(settings, number, version, as_of=[moment(0)] * 400)
    report = drift(SPEC, settings, nth(7))
    assert (report.state, report.persistent, report.alarm) == ("judged", False, False)
    assert {each.name for each in report.features} == {"score", *FEATURES}
    assert report.volumes[-1].customers == report.volumes[-1].rows == 400


def test_a_request_that_moves_drifts_and_lasts(settings: Settings, version: str):
    for number in range(10):
        day(settings, number, version, shift=1.0 if number >= 8 else 0.0)
    first, second = (drift(SPEC, settings, nth(number)) for number in (8, 9))
    assert (first.alarm, first.persistent, second.persistent) == (True, False, True)
    assert "request__size" in second.windows[-1].drifted
    assert second.windows[-1].score_drifted
    page = read(drift_page(SPEC, settings, second))
    assert "Persistent drift" in page.text
    assert ("customers" in page.text, "predictions" in page.text) == (False, True)
    drawn = draw(SPEC, settings, nth(9))
    assert drawn is not None
    assert drawn.exists()


def test_features_refreshed_for_the_first_time_are_not_judged_yet(settings: Settings, version: str):
    for number in range(8):
        day(settings, number, version, as_of=[moment(0 if number < 7 else 7)] * 400)
    assert drift(SPEC, settings, nth(6)).state == "judged"
    assert drift(SPEC, settings, nth(7)).state == "no reference yet"


def test_few_predictions_are_not_judged_and_say_so(settings: Settings, version: str):
    day(settings, 0, version, rows=30)
    assert drift(SPEC, settings, nth(0)).text == "too few rows: 30 predictions of 30 events"


def test_events_asked_again_and_again_are_one_each(settings: Settings, version: str):
    for number in range(8):
        day(settings, number, version, event=[f"e{at % 12}" for at in range(400)])
    report = drift(SPEC, settings, nth(7))
    assert report.state == "too few rows", "twelve events a day, however often they were asked about"


def test_the_service_level_is_told_of_events_too(settings: Settings, version: str):
    day(settings, 0, version, latency_ms=[float(at % 40) for at in range(400)])
    report = service_level(SPEC, settings, nth(0))
    assert (report.answers, report.ok, report.p99_ms) == (400, True, pytest.approx(39, abs=1))
    assert "The service kept its promise" in read(level_page(SPEC, settings, report)).text
    silent = service_level(SPEC, settings, nth(0) + timedelta(days=3))
    assert "can its callers reach the service?" in silent.text


def weekday(number: int) -> dict[str, np.ndarray]:
    return {"request__size": np.full(400, float(nth(number).weekday()))}


@pytest.mark.parametrize("left_out", [(), (3, 4)])
def test_a_weekday_is_no_drift_however_few_of_its_own_kind_are_there(
    settings: Settings, version: str, left_out: tuple[int, ...]
):
    """The model looks at little else, and no value of it was among the days that it is compared with."""
    for number in range(16):
        gone = 2.0 if number in left_out else 0.0
        found = {name: values + gone for name, values in weekday(number).items()}
        day(settings, number, version, **found)
    reports = [drift(SPEC, settings, nth(number)) for number in range(16)]
    alarmed = [report.day for report in reports if report.alarm and (report.day - nth(0)).days not in left_out]
    assert [report.state for report in reports].count("judged") == 13
    assert alarmed == []


def test_a_value_that_no_weekday_has_is_still_gross_drift(settings: Settings, version: str):
    for number in range(16):
        found = weekday(number)
        day(
            settings,
            number,
            version,
            **({name: values + 20 for name, values in found.items()} if number == 15 else found),
        )
    report = drift(SPEC, settings, nth(15))
    assert "request__size" in report.windows[-1].drifted
