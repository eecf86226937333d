"""Feedback that somebody made up, or that a shop sends by mistake: it neither rolls back nor promotes a canary."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from release_traffic import MIDNIGHT, Log, Shop, answer, click, every, small_spec

from ml_assets.config.model_spec import ModelSpec
from ml_assets.prediction_log import publish_day
from ml_assets.registry.release import Arm, Release, Stage
from ml_assets.release import Action, begin, control, judge, step
from ml_assets.release.observed import Clicks, Drawn, Step
from ml_assets.release.read import read

SPEC = small_spec(steps=(0.5,), step_customers=60, customers=60)
FORGED = 100
Lines = list[dict[str, Any]]


@pytest.fixture
def release(shop: Shop) -> Release:
    begun = begin(shop.settings, SPEC, shop.version("b").path, "test")
    changed = begun.started_at + timedelta(minutes=1)
    return begun.model_copy(update={"stage": Stage.CANARY, "share": 0.5, "changed_at": changed})


def look(log: Log, release: Release, spec: ModelSpec = SPEC) -> tuple[Any, Any]:
    seen = read(log.settings, spec, release, (Step(1, release.share, release.changed_at),))
    return seen, judge(spec, release, seen)


def lists(release: Release, arm: Arm, who: str, count: int = FORGED, **changes: Any) -> Lines:
    """Answers to as many customers of one arm, named `<who>-<number>` like their ids."""
    at = release.changed_at + timedelta(seconds=5)
    return [answer(f"{who}-{number}", release, f"{who}-{number}", arm, at, **changes) for number in range(count)]


def of_no_answer(release: Release, arm: Arm) -> Lines:
    return [click(f"{number:032x}") for number in range(FORGED)]


def of_products_never_shown(release: Release, arm: Arm) -> Lines:
    given = lists(release, arm, "asked", 12)
    return [*given, *(click(each["prediction_id"]) | {"product": "p9"} for each in given)]


def of_invented_customers(release: Release, arm: Arm) -> Lines:
    given = lists(release, arm, "invented", customer_known=False)
    return [*given, *(click(each["prediction_id"]) for each in given)]


def of_a_shadow(release: Release, arm: Arm) -> Lines:
    unseen = [line | {"prediction_id": f"{line['prediction_id']}-shadow"}
              for line in lists(release, Arm.SHADOW, "asked")]  # fmt: skip
    return [*unseen, *(click(each["prediction_id"]) for each in unseen)]


def replayed(release: Release, arm: Arm) -> Lines:
    (given,) = lists(release, arm, "asked", 1)
    return [given, *[click(given["prediction_id"])] * FORGED]


WAYS = [of_no_answer, of_products_never_shown, of_invented_customers, of_a_shadow, replayed]


@pytest.mark.parametrize("arm", [Arm.CANARY, Arm.CHAMPION])
@pytest.mark.parametrize("forge", WAYS)
def test_forged_feedback_is_no_click_and_decides_nothing(
    log: Log, release: Release, arm: Arm, forge: Callable[[Release, Arm], Lines]
):
    log.serve(release, 60, champion=0.3, canary=0.3)
    honest, verdict = look(log, release)
    log.write(*forge(release, arm))
    seen, forged = look(log, release)
    (before,), (after,) = honest.drawn, seen.drawn
    clicks = after.canary_clicked + after.champion_clicked - before.canary_clicked - before.champion_clicked
    assert clicks == (1 if forge is replayed else 0), "a click that was reported a hundred times is one"
    assert forged.action is verdict.action is Action.WAITING
    if forge is of_invented_customers:
        assert after == before, "nor do their customers count"


@pytest.mark.parametrize("outcomes", ["feedback", "events"])
def test_only_customers_known_at_their_first_answer_of_a_step_count(log: Log, release: Release, outcomes: str):
    at = [release.changed_at + timedelta(seconds=second) for second in (3, 4)]
    log.write(
        answer("1", release, "known", Arm.CANARY, at[0]),
        answer("2", release, "known", Arm.CANARY, at[1], customer_known=False),
        answer("3", release, "late", Arm.CANARY, at[0], customer_known=False),
        answer("4", release, "late", Arm.CANARY, at[1]),
        answer("5", release, "never", Arm.CHAMPION, at[0], customer_known=False),
        *(click(name) for name in "12345"),
    )
    publish_day(log.settings, small_spec(), MIDNIGHT.date())
    seen, _ = look(log, release, small_spec(outcomes, steps=(0.5,)))
    assert seen.drawn == (Drawn(0.5, 1, 0, 1, 0, 1, 0),)
    assert seen.canary.count == 4, "what the service measures itself is of all answers"
    assert seen.feedback.canary == Clicks(1, 1.0)


def test_who_becomes_known_is_drawn_then(log: Log, release: Release):
    later = release.changed_at + timedelta(minutes=5)
    log.write(
        answer("1", release, "u", Arm.CANARY, later - timedelta(minutes=1), customer_known=False),
        answer("2", release, "u", Arm.CANARY, later + timedelta(seconds=2)),
    )
    steps = (Step(1, 0.5, release.changed_at), Step(2, 0.8, later))
    now = release.model_copy(update={"share": 0.8, "changed_at": later})
    assert read(log.settings, SPEC, now, steps).drawn == (Drawn(0.8, 1, 0, 0, 0, 2, 0),)


def test_a_customer_weighs_one_however_often_they_ask(log: Log, release: Release):
    at = release.changed_at + timedelta(seconds=5)
    log.write(
        *(answer(f"often-{number}", release, "often", Arm.CANARY, at) for number in range(30)),
        *(click(f"often-{number}") for number in range(15)),
        answer("once", release, "once", Arm.CANARY, at),
    )
    seen, _ = look(log, release)
    assert seen.drawn == (Drawn(0.5, 2, 0, 1, 0, 1, 0),)
    assert seen.feedback.canary == Clicks(2, pytest.approx(0.5))


def test_what_was_clicked_before_the_release_is_of_its_champions_known_customers(log: Log, release: Release):
    before = release.started_at - timedelta(hours=1)
    given = [answer(f"old-{n}", release, f"old-{n % 10}", Arm.CHAMPION, before, release_id=None) for n in range(20)]
    others = [
        answer("strange", release, "strange", Arm.CHAMPION, before, customer_known=False),
        answer("held", release, "held", Arm.HOLDBACK, before),
        answer("during", release, "during", Arm.CHAMPION, release.changed_at + timedelta(seconds=5)),
    ]
    log.write(*given, *others, *(click(each["prediction_id"]) for each in [*given[:5], *others]))
    assert look(log, release)[0].feedback.before == Clicks()
    publish_day(log.settings, SPEC, MIDNIGHT.date())
    assert look(log, release)[0].feedback.before == Clicks(10, 2.5)


@pytest.mark.usefixtures("minutes")
@pytest.mark.parametrize("arm", [Arm.CANARY, Arm.CHAMPION])
def test_impossible_clicks_hold_the_release_and_it_can_be_released_again(
    shop: Shop, log: Log, monkeypatch: pytest.MonkeyPatch, arm: Arm
):
    """By somebody with the answers and tokens of real customers of one arm."""
    monkeypatch.setattr(control, "pay", lambda settings, spec: None)
    before = MIDNIGHT - timedelta(days=400)
    begun = begin(shop.settings, small_spec(shadow_answers=0, steps=(0.5,)), shop.version("b").path, "test")
    given = [answer(f"old-{n}", begun, f"old-{n}", Arm.CHAMPION, before, release_id=None) for n in range(200)]
    log.write(*given, *(click(f"old-{n}") for n in range(200) if every(0.05, n)))
    publish_day(log.settings, SPEC, MIDNIGHT.date())
    log.serve(begun, 40, champion=float(arm is Arm.CHAMPION), canary=float(arm is Arm.CANARY))
    verdict = step(shop.settings, small_spec(steps=(0.5,), step_customers=20, customers=20))
    assert (verdict.action, verdict.blocks) == (Action.HELD, False)
    name = "challenger" if arm is Arm.CANARY else "champion"
    assert f"20 customers of the {name} clicked on 100% of their answers, where 32% would be too many" in verdict.reason
    assert "before the release 200 customers clicked on 5.0%" in verdict.reason
    assert (shop.release, shop.serves, shop.events[-1]) == (None, "a", "held")
    assert begin(shop.settings, SPEC, shop.version("b").path, "the cause was found").model_version


def test_outcomes_of_products_nobody_was_shown_hold_the_release(log: Log, release: Release):
    log.serve(release, 60, champion=0.1, canary=0.1)
    given = lists(release, Arm.CHAMPION, "one", 15) + lists(release, Arm.CANARY, "other", 15)
    log.write(*given, *(click(each["prediction_id"]) | {"product": "sku-1"} for each in given))
    seen, verdict = look(log, release)
    assert seen.feedback.strays == verdict.figures["stray_customers"] == 30
    assert (verdict.action, verdict.blocks) == (Action.HELD, False)
    assert "outcomes of 30 customers name no product that their answer showed, those of 6 do" in verdict.reason
