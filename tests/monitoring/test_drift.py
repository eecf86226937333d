from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from drift_days import MODEL, Change, Columns, nth, publish_booster, spec_with, write_day

from ml_assets.config.settings import Settings
from ml_assets.monitoring.drift.daily import DriftReport, drift, read_drift
from ml_assets.monitoring.reports import report_path

SPEC = spec_with()
USUAL = 7
"""Days of usual traffic before what a test adds."""


def times(name: str, factor: float) -> Change:
    def change(columns: Columns) -> None:
        columns[name] = columns[name] * factor

    return change


def each(name: str, value: object, share: float = 1.0, kind: type = object) -> Change:
    def change(columns: Columns) -> None:
        found = columns[name].astype(kind)
        found[np.random.default_rng(1).random(len(found)) < share] = value
        columns[name] = found

    return change


@pytest.fixture
def version(settings: Settings) -> str:
    found = publish_booster(settings)
    for number in range(USUAL):
        write_day(settings, number, found)
    return found


def judged(settings: Settings, version: str, *changes: Change, **values: object) -> list[DriftReport]:
    """Reports of days that follow the usual ones, each with its change."""
    reports = []
    for number, change in enumerate(changes, start=USUAL):
        write_day(settings, number, version, change, **values)
        reports.append(drift(SPEC, settings, nth(number)))
    return reports


def nothing(columns: Columns) -> None:
    """A usual day."""


def feature(report: DriftReport, name: str):
    return next(found for found in report.features if found.name == name)


def test_usual_days_do_not_alarm_and_the_first_ones_have_nothing_to_be_compared_with(settings, version):
    reports = [drift(SPEC, settings, nth(number)) for number in range(USUAL)]

    assert [report.state for report in reports] == ["no reference yet"] * 3 + ["judged"] * 4
    assert not any(report.alarm or report.persistent for report in reports)
    assert [len(report.windows) for report in reports] == [0, 0, 0, 1, 2, 3, 3]
    assert reports[-1].reference == tuple(nth(number) for number in range(4))
    assert reports[-1].text.startswith("no drift")


def test_a_weighted_price_times_1_6_is_persistent_on_the_second_day_not_on_the_first(settings, version):
    first, second = judged(settings, version, *[times("product__price", 1.6)] * 2)

    price = feature(first, "product__price")
    assert first.alarm and not first.persistent
    assert price.drifted and price.weight > 0.3 and price.excess > 0.1
    assert second.alarm and second.persistent
    assert second.weighted_share == pytest.approx(feature(second, "product__price").weight)
    assert "product__price" in second.text and "persistent" in second.text
    assert [window.alarm for window in second.windows] == [False, True, True]


def test_values_that_the_model_never_saw_are_persistent_at_once(settings, version):
    (report,) = judged(settings, version, times("product__price", 50))

    assert report.persistent and report.windows[-1].gross == ("product__price",)


def test_a_few_categories_that_cross_a_bin_together_are_not_gross(settings, version):
    """Six values in all: a change by a thousandth empties every bin."""

    def by_category(factor: float) -> Change:
        def change(columns: Columns) -> None:
            columns["product__price"] = factor * np.array([1.0 + int(name[1:]) for name in columns["category_id"]])

        return change

    for number in range(USUAL):
        write_day(settings, number, version, by_category(1.0))
    (report,) = judged(settings, version, by_category(1.001))

    assert feature(report, "product__price").excess > 1
    assert report.windows[-1].gross == () and not report.persistent


def test_days_with_the_features_of_one_morning_are_no_reference(settings, version):
    morning = datetime(2026, 3, 1)
    for number in range(USUAL):
        write_day(settings, number, version, as_of=morning)
    (report,) = judged(settings, version, nothing)

    assert report.state == "no reference yet"
    assert "features of one day" in report.text


def test_drift_of_a_feature_that_the_model_does_not_look_at_stays_quiet(settings, version):
    (report,) = judged(settings, version, times("customer__idle", 3))

    idle = feature(report, "customer__idle")
    assert idle.drifted and idle.weight < 0.02
    assert not report.alarm
    assert report.windows[-1].drifted == ("customer__idle",)


def test_one_odd_day_is_over_on_the_third_day_after_it(settings, version):
    reports = judged(settings, version, times("product__price", 1.6), nothing, nothing, nothing)

    assert [report.alarm for report in reports] == [True, False, False, False]
    assert not any(report.persistent for report in reports)
    assert "not persistent" in reports[1].text
    assert reports[3].left_out == (nth(USUAL),)


def test_a_change_that_stays_is_news_for_as_long_as_usual_days_are_there_to_compare_with(settings, version):
    reports = judged(settings, version, *[times("product__price", 1.6)] * 5)

    assert all(report.alarm for report in reports)
    assert all(report.persistent for report in reports[1:])
    assert reports[-1].left_out == tuple(nth(USUAL + number) for number in range(2))


def test_missing_values_new_to_a_feature_are_drift(settings, version):
    (report,) = judged(settings, version, each("product__price", np.nan, 0.3, float))

    price = feature(report, "product__price")
    missing = next(found for found in price.bins if found.label == "missing")
    assert price.drifted and report.alarm
    assert missing.reference == 0
    assert missing.current == pytest.approx(0.3, abs=0.05)


def test_a_shifted_score_alarms_without_any_feature(settings, version):
    def shifted(columns: Columns) -> None:
        columns["score"] = columns["score"] + 1

    (report,) = judged(settings, version, shifted)

    assert report.alarm and report.score_drifted
    assert report.weighted_share == 0
    assert report.features[0].name == "score"


def test_new_categories_and_other_session_events_are_told_and_weigh_nothing(settings, version):
    def carts(count: int) -> list[str]:
        return ['[["P1", "cart"], ["P2", "cart"]]'] * count

    (report,) = judged(settings, version, each("category_id", "novelties", 0.5), session=carts)

    category, events = feature(report, "category_id"), feature(report, "session_event")
    assert category.drifted and events.drifted
    assert category.bins[-1].label == "other" and category.bins[-1].current == pytest.approx(0.5, abs=0.05)
    assert {found.label: found.current for found in events.bins}["view"] == 0
    assert not report.alarm and report.weighted_share == 0


def test_absent_and_constant_features_do_not_drift(settings, version):
    (report,) = judged(settings, version, nothing)

    for name in ("product__absent", "product__fixed"):
        found = feature(report, name)
        assert (found.psi, found.p, found.weight, found.drifted) == (0, 1, 0, False)


def test_a_feature_the_log_does_not_have_is_missing_throughout(settings, version):
    (report,) = judged(settings, version, lambda columns: columns.pop("product__price"))

    assert feature(report, "product__price").drifted


def test_answers_without_features_are_left_out_and_counted(settings, version):
    (report,) = judged(
        settings, version, lambda columns: columns["product__price"].__setitem__(slice(0, 400), np.nan),
        degraded=lambda count: [["features"] if number < 40 else [] for number in range(count)],
    )  # fmt: skip
    today = report.volumes[-1]

    assert (today.featureless, today.answers, today.rows) == (40, 40, 400)


def test_only_the_version_that_serves_is_compared_its_shadow_answers_count_as_its_days(settings, version):
    newer = publish_booster(settings, rounds=31)

    def beside(columns: Columns) -> None:
        half = len(columns["arm"]) // 2
        columns["arm"] = np.array(["champion"] * half + ["shadow"] * half)
        columns["model_version"] = np.array([version] * half + [newer] * half)

    def promoted(columns: Columns) -> None:
        columns["model_version"] = np.array([newer] * len(columns["arm"]))
        columns["product__price"] = columns["product__price"] * 1.6

    reports = judged(settings, version, beside, beside, beside, promoted)

    assert [report.version for report in reports] == [version, version, version, newer]
    assert reports[-1].state == "judged" and reports[-1].alarm
    assert reports[-1].reference == tuple(nth(USUAL + number) for number in range(3))
    assert reports[2].volumes[-1].rows == 400 == reports[3].volumes[0].rows


@pytest.mark.parametrize("arm", ["holdback", "fallback"])
def test_answers_no_model_made_do_not_count(settings, version, arm):
    (report,) = judged(settings, version, each("arm", arm, kind=object))

    assert report.state == "too few rows"
    assert report.version is None


def test_a_day_with_few_rows_or_few_customers_is_not_judged(settings, version):
    few_rows = judged(settings, version, nothing, customers=19, shown=10)[0]
    few_customers = judged(settings, version, nothing, customers=19, shown=40)[0]

    assert (few_rows.state, few_customers.state) == ("too few rows", "too few rows")
    assert not few_rows.persistent
    assert drift(SPEC, settings, nth(50)).state == "too few rows"


def test_the_report_is_the_same_whatever_the_order_of_the_rows_and_reads_back(settings, version, tmp_path: Path):
    for number in (USUAL, USUAL + 1):
        write_day(settings, number, version, times("product__price", 1.6))
    drift(SPEC, settings, nth(USUAL))
    report = drift(SPEC, settings, nth(USUAL + 1))
    path = report_path(settings, MODEL.name, "drift", nth(USUAL + 1))
    before = path.read_bytes()
    for number in range(USUAL + 2):
        change = times("product__price", 1.6) if number >= USUAL else nothing
        write_day(settings, number, version, change, reverse=True)

    assert drift(SPEC, settings, nth(USUAL + 1)) == report == read_drift(settings, MODEL.name, nth(USUAL + 1))
    assert path.read_bytes() == before


def test_bars_are_those_of_the_yaml(settings, version):
    write_day(settings, USUAL, version, times("product__price", 1.6))

    def alarms(**rules: float) -> bool:
        return drift(spec_with(**rules), settings, nth(USUAL)).alarm

    assert alarms(weight=0.3) and not alarms(weight=0.95)
    assert not alarms(excess_psi=5.0)
    assert not alarms(false_discovery_rate=1e-300)
    assert not drift(spec_with(weight=0.0), settings, nth(USUAL - 1)).alarm
    assert drift(spec_with(needed=1), settings, nth(USUAL)).persistent


def test_an_altered_version_is_an_error_that_says_so(settings, version):
    booster = settings.model_home(MODEL.name) / "versions" / version / "booster.txt"
    booster.write_text(booster.read_text() + "\n")

    with pytest.raises(ValueError, match="altered"):
        drift(SPEC, settings, nth(USUAL - 1))


@pytest.mark.parametrize(("factor", "gross"), [(1.0, ()), (1.6, ()), (50, ("product__price",))])
def test_a_version_is_judged_from_its_first_day_by_what_lies_grossly_far_from_the_versions_before(
    settings, version, factor, gross
):
    newer = publish_booster(settings, rounds=31)
    (report,) = judged(settings, newer, times("product__price", factor))

    assert (report.version, report.state, len(report.reference)) == (newer, "judged", USUAL - 1 + 1)
    assert (report.windows[-1].gross, report.alarm, report.persistent) == (gross, bool(gross), bool(gross))
    assert "the version is new" in report.text


def test_what_the_model_hardly_looks_at_is_told_with_the_reason_why_it_is_no_alarm(settings, version):
    (report,) = judged(settings, version, times("customer__idle", 3))

    assert not report.alarm and "customer__idle" in report.text
    assert "the model hardly looks at it (0.0% of what it looks at changed, 10% would be an alarm)" in report.text
