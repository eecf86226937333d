"""Served against recomputed features: a real feature store, a real index, and the ways in which they part."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest
from prediction_days import MODEL, MONDAY, Day
from served_rows import ServedShop, make_shop

from ml_assets.config.model_spec import ModelSpec
from ml_assets.monitoring.skew.daily import SkewReport, read_skew, skew

ANSWERS = 40
SESSION = (("p1", "view"), ("p2", "cart"), ("unheard of", "view"), ("p3", "purchase"))
OWN, PRICE = "derived__price_to_category", "product__price"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> ServedShop:
    return make_shop(tmp_path_factory.mktemp("served"))


@pytest.fixture
def day(shop: ServedShop) -> Day:
    """A day of answers whose features were served as they should be; every other one in a session."""
    made = Day(MONDAY)
    for number in range(ANSWERS):
        shop.answer(made, number, session=SESSION if number % 2 else ())
    return made


def judged(shop: ServedShop, day: Day, **monitoring: float) -> SkewReport:
    watched = MODEL.monitoring.model_copy(update=monitoring)
    spec: ModelSpec = MODEL.model_copy(update={"monitoring": watched})
    return skew(spec, day.write(shop.settings) and shop.settings, day.day)


def skewed(report: SkewReport) -> set[str]:
    return {each.name for each in report.features if each.differing}


def served_otherwise(day: Day, change: Callable[[dict], dict]) -> None:
    day.shown[:] = [row | change(row) for row in day.shown]


def test_what_was_served_as_trained_is_equal_in_every_value(shop: ServedShop, day: Day):
    report = judged(shop, day)
    assert (report.state, report.ok, report.worst, report.rows) == ("judged", True, 0.0, ANSWERS * 5)
    assert {each.name for each in report.features} == set(shop.features)
    assert all(each.rows == ANSWERS * 5 for each in report.features)
    assert "every value is equal" in report.text
    assert read_skew(shop.settings, MODEL.name, MONDAY) == report


def test_values_of_an_online_store_that_fell_behind_are_found(shop: ServedShop):
    day = Day(MONDAY)
    for number in range(ANSWERS):
        shop.answer(day, number, stale=True)
    report = judged(shop, day)
    assert not report.ok
    assert {"customer__views_7d", "product__price", "derived__pair_days_since_view"} <= skewed(report)
    assert not any(name.startswith("retrieval__") for name in skewed(report))


def test_a_feature_computed_otherwise_is_named_alone(shop: ServedShop, day: Day):
    served_otherwise(day, lambda row: {OWN: row[OWN] and row[OWN] * 1.01})
    report = judged(shop, day)
    assert (report.ok, skewed(report), report.features[0].name) == (False, {OWN}, OWN)
    assert f"{OWN} (" in report.text
    assert "served" in report.features[0].example


def test_swapped_columns_are_found(shop: ServedShop, day: Day):
    served_otherwise(day, lambda row: {OWN: row[PRICE], PRICE: row[OWN]})
    assert skewed(judged(shop, day)) == {OWN, PRICE}


def test_a_session_that_the_scores_ignored_is_found(shop: ServedShop):
    day = Day(MONDAY)
    for number in range(ANSWERS):
        shop.answer(day, number)
    for answer in day.predictions:
        answer["session"] = '[["p1","view"],["p2","cart"]]'
    assert "retrieval__own" in skewed(judged(shop, day))


def test_missing_served_as_zero_is_skew(shop: ServedShop, day: Day):
    name = "customer_product__views_total"
    served_otherwise(day, lambda row: {name: row[name] or 0.0})
    assert skewed(judged(shop, day)) == {name}


def test_a_few_values_are_tolerated_as_the_model_says(shop: ServedShop, day: Day):
    day.shown[3] |= {PRICE: 12345.0}
    assert not judged(shop, day).ok
    tolerant = judged(shop, day, max_skew_share=0.01)
    assert (tolerant.ok, tolerant.features[0].differing, tolerant.worst) == (True, 1, 1 / (ANSWERS * 5))


def test_degraded_answers_are_left_out_and_counted(shop: ServedShop, day: Day):
    def without(ids: Iterable[str]) -> None:
        served_otherwise(day, lambda row: {PRICE: None} if row["prediction_id"] in set(ids) else {})

    for answer in day.predictions[:10]:
        answer["degraded"] = ["features"]
    without(answer["prediction_id"] for answer in day.predictions[:10])
    report = judged(shop, day)
    assert (report.ok, report.answers, report.degraded, report.rows) == (True, ANSWERS, 10, (ANSWERS - 10) * 5)
    for answer in day.predictions:
        answer["degraded"] = ["features"]
    nothing = judged(shop, day)
    assert (nothing.state, nothing.ok, nothing.rows) == ("nothing to compare", False, 0)


def test_the_sample_is_whole_answers_and_always_the_same(shop: ServedShop, day: Day):
    first, again = (judged(shop, day, skew_rows=52) for _ in range(2))
    assert first == again
    assert first.rows == 50


def test_popularity_has_no_features_to_compare(shop: ServedShop):
    day = Day(MONDAY)
    day.answer(arm="holdback")
    day.answer(arm="fallback", degraded=["model"])
    report = judged(shop, day)
    assert (report.state, report.ok, report.answers) == ("no traffic", True, 0)


def test_an_index_that_is_gone_is_no_pass(shop: ServedShop, day: Day):
    for answer in day.predictions[: ANSWERS // 2]:
        answer["index"] = "f" * 12
    report = judged(shop, day)
    assert (report.ok, report.lost_indexes) == (False, ("f" * 12,))
    assert skewed(report) == {name for name in shop.features if name.startswith("retrieval__")}
    assert "index ffffffffffff is gone" in report.text


def test_versions_are_compared_on_the_features_they_read(shop: ServedShop, day: Day):
    from ml_assets.registry.versions import publish_version

    fewer = publish_version(
        shop.settings, MODEL.name, "stump\n", run_id="run", features=(PRICE,), params={}, training_set="none",
        metrics={}, created_from={},
    )  # fmt: skip
    small = replace(shop, version=fewer.version, features=(PRICE,))
    for number in range(10):
        small.answer(day, number, arm="canary")
    report = judged(shop, day)
    assert report.ok
    compared = {each.name: each.rows for each in report.features}
    assert (compared[PRICE], compared[OWN]) == ((ANSWERS + 10) * 5, ANSWERS * 5)
