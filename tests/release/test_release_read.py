"""What is counted of the log, against a count of the same visits by hand."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from release_traffic import Log, Shop, answer, click, small_spec

from benchmarks.release import Tally
from ml_assets.prediction_log import publish_day
from ml_assets.registry.release import Arm, Release, Stage
from ml_assets.release import begin
from ml_assets.release.observed import Answers, ArmData, Drawn, Step
from ml_assets.release.read import UNABLE, read

STEPS = (0.2, 0.5, 0.8)


@pytest.fixture
def release(shop: Shop) -> Release:
    return begin(shop.settings, small_spec(), shop.version("b").path, "test")


def at_step(release: Release, number: int) -> Release:
    """The release as it was at a step; the steps are a minute apart."""
    changed = release.started_at + timedelta(minutes=number)
    return release.model_copy(update={"stage": Stage.CANARY, "share": STEPS[number - 1], "changed_at": changed})


def steps(release: Release, count: int) -> tuple[Step, ...]:
    stages = [at_step(release, number) for number in range(1, count + 1)]
    return tuple(Step(number, stage.share, stage.changed_at) for number, stage in enumerate(stages, start=1))


def ordered(seen: ArmData) -> tuple[Drawn, ...]:
    return tuple(sorted(seen.drawn, key=lambda each: (each.step, each.before)))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_customers_are_counted_as_they_come_back_through_the_steps(log: Log, release: Release, seed: int):
    rng, tally, lines = random.Random(seed), Tally(), []
    for number in (1, 2, 3):
        stage = at_step(release, number)
        for visit in range(120):
            customer, clicked = f"u{rng.randrange(80)}", rng.random() < 0.3
            canary = release.place(customer) < stage.share
            name, arm = f"{number}-{visit}", Arm.CANARY if canary else Arm.CHAMPION
            lines.append(
                answer(name, release, customer, arm, stage.changed_at + timedelta(seconds=1, milliseconds=visit))
            )
            lines += [click(name)] * (2 * clicked)
            tally.visit(customer, canary, clicked)
        if number < 3:
            tally.advance(stage.share)
    rng.shuffle(lines)
    log.write(*lines[: len(lines) // 2])
    log.write(*lines[len(lines) // 2 :])
    seen = read(log.settings, small_spec(), at_step(release, 3), steps(release, 3))
    expected = tally.seen(STEPS[2])
    assert ordered(seen) == ordered(expected)
    assert (seen.canary.count, seen.champion.count) == (expected.canary.count, expected.champion.count)
    assert seen.customers_of_step == expected.customers_of_step > 0
    shares = {(each.step, each.before): each.share for each in seen.drawn}
    assert shares[2, 0] == 0.5
    assert shares[2, 1] == pytest.approx(0.3 / 0.8)
    assert shares[3, 1] == pytest.approx(0.6 / 0.8)


def test_what_does_not_belong_is_left_out(log: Log, release: Release):
    stage = at_step(release, 1)
    moment = stage.changed_at + timedelta(seconds=3)
    other = release.model_copy(update={"release_id": "another"})
    log.write(
        answer("early", release, "u1", Arm.CANARY, stage.changed_at + timedelta(seconds=0.5)),
        answer("before", release, "u2", Arm.CHAMPION, stage.changed_at - timedelta(seconds=9)),
        answer("other", other, "u3", Arm.CANARY, moment),
        answer("held back", release, "u4", Arm.HOLDBACK, moment),
        answer("mine", release, "u5", Arm.CANARY, moment),
        *[click(name) for name in ("early", "before", "other", "held back", "unknown")],
    )
    seen = read(log.settings, small_spec(), stage, steps(release, 1))
    assert seen.drawn == (Drawn(0.2, 1, 0, 0, 0, 1, 0),)
    assert (seen.canary, seen.champion) == (Answers(1), Answers())


def test_a_click_on_the_other_arms_list_does_not_count(log: Log, release: Release):
    stage = at_step(release, 1)
    later = [stage.changed_at + timedelta(seconds=second) for second in (3, 4)]
    log.write(
        answer("1", release, "u1", Arm.CANARY, later[0]),
        answer("2", release, "u1", Arm.CHAMPION, later[1]),
        answer("3", release, "u2", Arm.CHAMPION, later[0]),
        answer("4", release, "u2", Arm.CANARY, later[1]),
        click("2"),
        click("4"),
    )
    seen = read(log.settings, small_spec(), stage, steps(release, 1))
    assert seen.drawn == (Drawn(0.2, 1, 1, 0, 0, 1, 0),)


def test_what_the_challenger_could_not_answer_counts_for_it(log: Log, release: Release):
    stage = at_step(release, 1)
    moment = stage.changed_at + timedelta(seconds=3)
    log.write(
        answer("1", release, "u1", Arm.CANARY, moment, latency_ms=150.0),
        answer("2", release, "u2", Arm.CHAMPION, moment, degraded=["features", UNABLE], latency_ms=150.0),
        answer("3", release, "u3", Arm.FALLBACK, moment, degraded=[UNABLE, "model"]),
        answer("4", release, "u4", Arm.FALLBACK, moment, degraded=["model"]),
        answer("5", release, "u5", Arm.CHAMPION, moment, degraded=["features"], latency_ms=150.0),
        click("2"),
    )
    seen = read(log.settings, small_spec(), stage, steps(release, 1))
    assert seen.drawn == (Drawn(0.2, 3, 2, 1, 0, 1, 0),)
    assert seen.canary == Answers(3, failed=2, slow=1)
    assert seen.champion == Answers(2, failed=1, slow=1)


def test_the_service_means_the_same_by_unable():
    from serving.model.router import CHALLENGER

    assert UNABLE == CHALLENGER


def test_a_shadow_is_compared_list_by_list(log: Log, release: Release):
    moment = release.changed_at + timedelta(seconds=3)

    def both(name: str, own: list[str], theirs: list[str], **changes: object) -> list[dict[str, object]]:
        champion = answer(name, release, "u", Arm.CHAMPION, moment, products=own, latency_ms=200.0)
        return [champion, answer(f"{name}-shadow", release, "u", Arm.SHADOW, moment, products=theirs, **changes)]

    log.write(
        *both("1", ["a", "b", "c"], ["b", "c", "d"]),
        *both("2", ["a"], ["a"], latency_ms=101.0),
        *both("3", ["a", "b"], ["a", "b"], scores=[0.5, None]),
        *both("4", ["a"], []),
        *both("5", [], []),
        answer("6", release, "u", Arm.CHAMPION, moment),
    )
    seen = read(log.settings, small_spec(), release, ())
    assert seen.canary == Answers(5, failed=2, slow=1)
    assert seen.champion == Answers(6, slow=5)
    assert seen.overlap == pytest.approx((0.5 + 1 + 1) / 3)


def test_before_anything_was_logged_there_is_nothing(log: Log, release: Release):
    for outcomes in ("feedback", "events"):
        spec = small_spec(outcomes)
        assert read(log.settings, spec, release, ()) == ArmData(Answers(), Answers())
        assert read(log.settings, spec, at_step(release, 1), steps(release, 1)) == ArmData(Answers(), Answers(), step=1)


def test_outcomes_by_events_are_those_of_the_daily_tables(log: Log, release: Release):
    stage = at_step(release, 1)
    log.serve(stage, 60, champion=0.1, canary=0.2)
    feedback = read(log.settings, small_spec(), stage, steps(release, 1))
    assert feedback.drawn == (Drawn(0.2, 12, 48, 2, 4, 1, 0),)
    assert not read(log.settings, small_spec("events"), stage, steps(release, 1)).drawn
    publish_day(log.settings, small_spec(), datetime(2026, 3, 2).date())  # here the day's outcomes are the feedback
    assert read(log.settings, small_spec("events"), stage, steps(release, 1)) == feedback


def test_files_made_before_the_release_are_not_read(log: Log, release: Release):
    stage = at_step(release, 1)
    log.serve(stage, 5)
    assert read(log.settings, small_spec(), stage, steps(release, 1)).drawn
    later = stage.model_copy(update={"started_at": datetime.now(UTC) + timedelta(hours=1)})
    assert not read(log.settings, small_spec(), later, steps(release, 1)).drawn
