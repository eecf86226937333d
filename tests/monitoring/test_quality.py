"""Quality from daily tables: figures counted by hand, the choice of reference, promise and baseline."""

import math
from datetime import date, datetime, timedelta

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prediction_days import FEEDBACK, MODEL, MONDAY, Day, traffic

from ml_assets.config.settings import Settings
from ml_assets.datasets.training_set import BASELINES, TRUTH
from ml_assets.evaluation.evaluate import LISTS, RESULT, evaluation_folder
from ml_assets.evaluation.result import EvaluationResult, PartResult, write_result
from ml_assets.monitoring.quality.promise import promise
from ml_assets.monitoring.quality.ranking_quality import QualityReport, quality, read_quality


def judged(settings: Settings, number: int) -> QualityReport:
    return quality(FEEDBACK, settings, MONDAY + timedelta(number))


def test_figures_of_a_day_by_arm_and_version(settings: Settings):
    day = Day(MONDAY)
    day.answer("a", clicked=(1, 3), purchased=(3,))
    day.answer("a")
    day.answer("b", clicked=(2,))
    day.answer("c", arm="canary", model_version="v2", clicked=(3,))
    day.answer("d", arm="shadow", model_version="v2", clicked=(1,))
    day.answer("e", degraded=["features"], clicked=(1,))
    day.answer("f", arm="fallback", degraded=["model"])
    day.write(settings)
    report = judged(settings, 0)
    arms = {(each.arm, each.version): each for each in report.arms}
    assert set(arms) == {("champion", "v1"), ("canary", "v2"), ("fallback", "v1")}
    champion = arms["champion", "v1"]
    assert (champion.customers, champion.measures["click_rate"].count) == (2, 3)
    assert champion.measures["click_rate"].value == pytest.approx(2 / 3)
    assert champion.measures["purchase_rate"].value == pytest.approx(1 / 3)
    first = (1 + 0.5) / (1 + 1 / math.log2(3))
    assert champion.measures["click_ndcg"].value == pytest.approx((first + 1 / math.log2(3)) / 2)
    assert champion.measures["click_mrr"].value == pytest.approx(0.75)
    assert champion.measures["purchase_mrr"].value == pytest.approx(1 / 3)
    assert (report.version, report.click_rate, report.mature) == ("v1", pytest.approx(2 / 3), True)
    assert read_quality(settings, MODEL.name, MONDAY) == report


def test_a_loss_is_found_on_its_second_day_and_not_before(settings: Settings):
    for number in range(8):
        traffic(settings, number, 60 + number % 3)
    traffic(settings, 8, 30)
    assert (judged(settings, 7).state, judged(settings, 7).loss, judged(settings, 8).loss) == ("judged", False, False)
    traffic(settings, 9, 31)
    report = judged(settings, 9)
    assert report.loss
    assert report.passed is False
    assert [each.day.day for each in report.verdict.days if each.worse] == [10, 11]
    assert "loss: 50% of the expected clicks lack on 2026-03-10, 2026-03-11" in report.text


def test_a_version_is_judged_against_its_own_days_and_a_new_one_against_the_champions(settings: Settings):
    for number in range(5):
        traffic(settings, number, 80, version="old")
    for number in range(5, 8):
        traffic(settings, number, 40, version="new")
    assert judged(settings, 7).verdict.days[-1].expected == pytest.approx(0.4)
    assert judged(settings, 7).loss
    for number in range(8, 11):
        traffic(settings, number, 40, version="new")
    settled = judged(settings, 10)
    assert settled.verdict.days[-1].expected == pytest.approx(0.2)
    assert not settled.loss


def test_judged_days_are_in_no_reference(settings: Settings):
    for number in range(9):
        traffic(settings, number, 60)
    assert {each.reference_days for each in judged(settings, 8).verdict.days} == {6}


def test_outcomes_that_stop_are_missing_and_no_loss(settings: Settings):
    for number in range(6):
        traffic(settings, number, 60)
    for number in (6, 7):
        traffic(settings, number, 0)
    report = judged(settings, 7)
    assert (report.state, report.loss, report.passed) == ("outcomes missing", False, False)
    assert "no outcome of 2026-03-09 has arrived, where about 60 clicks are usual" in report.text


def test_without_enough_days_nothing_is_judged_yet(settings: Settings):
    assert judged(settings, 0).state == "no traffic"
    for number in range(4):
        traffic(settings, number, 60)
    assert judged(settings, 3).state == "no reference yet"


def test_events_are_judged_when_their_outcomes_are_complete(settings: Settings):
    for number in range(10):
        traffic(settings, number, 60 if number < 7 else 10)  # the newest days' outcomes have not all come in
    warehouse_of(settings, newest=MONDAY + timedelta(9))
    report = quality(MODEL, settings, MONDAY + timedelta(9))
    assert (report.mature, report.loss) == (False, False)
    assert report.verdict.days[-1].day == MONDAY + timedelta(6), "outcomes take three days"
    assert [each.mature for each in report.days] == [True] * 7 + [False] * 3
    warehouse_of(settings, newest=MONDAY + timedelta(12))
    assert quality(MODEL, settings, MONDAY + timedelta(9)).loss


def warehouse_of(settings: Settings, newest: date) -> None:
    settings.warehouse.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(settings.warehouse)) as connection:
        connection.execute("create or replace table mart_daily_counts as select ?::date as event_day", [newest])


def test_held_back_customers_are_the_baseline(settings: Settings):
    day = Day(MONDAY)
    for number in range(400):
        held = number % 4 == 0
        clicked = (1,) if number // 4 % 10 < (1 if held else 3) else ()
        day.answer(f"u{number}", arm="holdback" if held else "champion", clicked=clicked)
    day.write(settings)
    found = judged(settings, 0).baseline
    assert (found.champion.value, found.holdback.value) == (pytest.approx(0.3), pytest.approx(0.1))
    assert found.lift == pytest.approx(3.0)
    assert 1.5 < found.low < 3 < found.high < 6
    assert found.gain.interval[0] > 0
    assert judged(settings, 0).window[0].customers == 300


def test_the_promise_is_the_holdouts_lists_measured_like_shown_ones(settings: Settings):
    at = datetime(2026, 2, 16)
    lists = {"a": ["p1", "p2", "p3"], "b": ["p1", "p2", "p3"], "c": ["p3", "p2", "p1"]}
    popular = {customer: ["p9", "p8", "p1"] for customer in "abc"}
    truth = [("a", "p2", 3), ("a", "p1", 1), ("b", "p3", 3), ("b", "p2", 3), ("c", "p7", 3)]
    publish_evaluation(settings, at, lists, popular, truth)
    found = promise(MODEL, settings, "v1")
    two, three = 1 / math.log2(3), 0.5
    assert (found.part, found.hit_rate.value, found.hit_rate.count) == ("holdout", pytest.approx(2 / 3), 3)
    assert found.ndcg.value == pytest.approx((two + (two + three) / (1 + two)) / 2)
    assert found.mrr.value == pytest.approx(0.5)
    assert (found.popular_hit_rate.value, found.lift) == (0.0, None)
    assert promise(MODEL, settings, "never evaluated") is None


def publish_evaluation(settings: Settings, at: datetime, lists: dict, popular: dict, truth: list) -> None:
    part = PartResult(
        decisions=(at.date(),), customers=3, groups=3, relevant=4, ceiling=1.0, gains={}, by_decision={}, slices=(),
        values={"candidate": {"ndcg_10": 0.5}},
    )  # fmt: skip
    result = EvaluationResult(
        model=MODEL.name, version="v1", run_id="r", training_set="set", champion=None, reference="popularity",
        metric="ndcg_10", confidence=0.95, parts={"test": part, "holdout": part},
    )  # fmt: skip
    folder = evaluation_folder(settings, MODEL.name, "v1")
    dataset = settings.model_home(MODEL.name) / "training_sets" / "set"
    for each in (folder, dataset):
        each.mkdir(parents=True)
    write_result(folder / RESULT, result)
    pq.write_table(ranked("candidate", at, lists), folder / LISTS)
    pq.write_table(ranked("popularity", at, popular), dataset / BASELINES)
    rows = [
        {"customer_id": customer, "decision_ts": at, "product_id": product, "label": label, "split": "holdout"}
        for customer, product, label in truth
    ]
    pq.write_table(pa.Table.from_pylist(rows), dataset / TRUTH)


def ranked(contender: str, at: datetime, lists: dict[str, list[str]]) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {"contender": contender, "customer_id": customer, "decision_ts": at, "product_id": product, "rank": rank}
            for customer, products in lists.items()
            for rank, product in enumerate(products, start=1)
        ]
    )


def test_a_loss_lasts_although_time_passes(settings: Settings):
    for number in range(6):
        traffic(settings, number, 80)
    for number in range(6, 14):
        traffic(settings, number, 40)
    found = [judged(settings, number).loss for number in range(7, 14)]
    assert found == [True] * 7
