"""What must hold of the decision to train again, whatever the facts are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_facts import CALENDAR, FREE, OBSTACLES, SPEC, TODAY, any_facts, facts, model

from ml_assets.config.model_spec import SplitSpec
from ml_assets.datasets.split import split_decisions
from ml_assets.retraining import decide
from ml_assets.retraining.decide import learnable_from
from ml_assets.retraining.facts import Alarm, Attempt, Calendar, Cause, Facts, Outcome


def cases(test: Callable[..., None]) -> Callable[..., None]:
    """Run the test over made-up facts."""
    return settings(max_examples=60, deadline=None)(given(found=any_facts(SPEC), scheduled=st.booleans())(test))


@cases
def test_never_two_in_flight_never_on_bad_data_never_over_the_budget(found: Facts, scheduled: bool):
    decision = decide(SPEC, found, scheduled=scheduled)
    if not decision.retrain:
        return
    assert not found.in_flight
    assert not found.releasing
    assert not found.failed_data_checks
    assert sum(attempt.day == TODAY for attempt in found.attempts) < SPEC.retraining.daily_budget


@cases
def test_a_cause_is_acted_on_once_unless_its_attempt_came_to_nothing(found: Facts, scheduled: bool):
    decision = decide(SPEC, found, scheduled=scheduled)
    own = [attempt for attempt in found.attempts if attempt.cause_id == decision.cause_id]
    if decision.retrain and own:
        assert all(attempt.outcome is not Outcome.JUDGED for attempt in own)
        assert own[-1].day + timedelta(days=SPEC.retraining.cooldown_days) <= TODAY
        if own[-1].outcome is Outcome.HELD:
            assert found.calendar is not None
            assert own[-1].newest_decision is None or found.calendar.newest > own[-1].newest_decision


@cases
def test_what_a_training_cannot_learn_yet_is_not_trained_for(found: Facts, scheduled: bool):
    decision = decide(SPEC, found, scheduled=scheduled)
    if not decision.retrain:
        return
    assert found.calendar is not None
    alarm = {Cause.DRIFT: found.drift, Cause.QUALITY: found.loss}.get(decision.cause)
    if alarm is not None:
        assert found.champion is not None
        assert found.calendar.fresh is not None
        assert found.champion.newest_decision < alarm.since <= found.calendar.fresh
    if decision.cause is Cause.AGE:
        assert found.champion is not None
        assert found.calendar.fresh is not None
        assert found.calendar.fresh > found.champion.newest_decision


@cases
def test_a_candidate_is_never_judged_on_what_the_champion_learned_from(found: Facts, scheduled: bool):
    decision = decide(SPEC, found, scheduled=scheduled)
    if decision.retrain and not decision.fresh and found.champion:
        assert found.calendar is not None
        assert found.calendar.judged is not None
        assert found.champion.newest_decision < found.calendar.judged


@cases
def test_what_stops_a_training_leaves_its_cause_open(found: Facts, scheduled: bool):
    free = replace(found, **FREE)
    decision = decide(SPEC, free, scheduled=scheduled)
    for obstacle in OBSTACLES:
        held = decide(SPEC, replace(free, **obstacle), scheduled=scheduled)
        assert not held.retrain
        assert (held.cause is Cause.NONE) == (decision.cause is Cause.NONE)
    assert not decide(model(enabled=False), free, scheduled=scheduled).retrain


@cases
def test_fewer_obstacles_and_more_labels_never_stop_a_training(found: Facts, scheduled: bool):
    if not decide(SPEC, found, scheduled=scheduled).retrain:
        return
    assert decide(SPEC, replace(found, attempts=()), scheduled=scheduled).retrain
    assert found.calendar is not None
    week = timedelta(days=7)
    fresh = found.calendar.fresh
    later = replace(found.calendar, newest=found.calendar.newest + week, fresh=fresh and fresh + week)
    assert decide(SPEC, replace(found, calendar=later), scheduled=scheduled).retrain
    assert decide(model(daily_budget=9, cooldown_days=0), found, scheduled=scheduled).retrain


@cases
def test_it_always_says_why(found: Facts, scheduled: bool):
    decision = decide(SPEC, found, scheduled=scheduled)
    assert decision.reason
    assert bool(decision.attempt_id) == decision.retrain
    assert bool(decision.cause_id) == (decision.cause is not Cause.NONE)
    assert decision == decide(SPEC, found, scheduled=scheduled)


@settings(deadline=None)
@given(
    since=st.integers(0, 200),
    every=st.integers(1, 10),
    horizon=st.integers(1, 14),
    test=st.integers(1, 3),
    holdout=st.integers(0, 2),
)
def test_the_day_it_promises_is_the_first_on_which_a_cut_learns_it(
    since: int, every: int, horizon: int, test: int, holdout: int
):
    start, split = date(2026, 1, 1), SplitSpec(validation=1, test=test, holdout=holdout, warmup_days=0)
    began = start + timedelta(days=since)

    def learned(today: date) -> date | None:
        """The newest decision that a cut made on that day learns from."""
        found = [start + timedelta(days=at * every) for at in range(600)]
        complete = [day for day in found if day + timedelta(days=horizon) <= today]
        try:
            cut = split_decisions(complete, split, start, horizon)
        except ValueError:
            return None
        return max(cut.train + cut.validation)

    seen = start + timedelta(days=150)
    newest = start + timedelta(days=(150 - horizon) // every * every)
    fresh = learned(seen)
    assert fresh is not None
    promised = learnable_from(Calendar(newest, every, fresh, None), began, horizon)
    if fresh < began:
        before = learned(promised - timedelta(days=1))
        assert before is None or before < began
        assert (learned(promised) or date.min) >= began


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_three_weeks_of_ticks(data: st.DataObject):
    """Whatever the days bring: the budget holds, what was judged is not tried again, and every cause gets its turn."""
    tried: list[Attempt] = []
    found = facts()
    alarm = Alarm(TODAY - timedelta(days=20), "prices")
    for day in range(21):
        today = TODAY + timedelta(days=day)
        newest = CALENDAR.newest + timedelta(days=day // 7 * 7)
        calendar = replace(CALENDAR, newest=newest, fresh=newest - timedelta(days=7))
        for _ in range(data.draw(st.integers(1, 4))):
            found = facts(
                today=today,
                calendar=calendar,
                drift=alarm,
                loss=data.draw(st.none() | st.just(alarm)),
                code=("a.sql",),
                code_id=data.draw(st.sampled_from(["c1", "c2"])),
                attempts=tuple(tried),
            )
            decision = decide(SPEC, found)
            if decision.retrain:
                before = [attempt for attempt in tried if attempt.cause_id == decision.cause_id]
                assert all(attempt.outcome is not Outcome.JUDGED for attempt in before)
                outcome = data.draw(st.sampled_from(Outcome))
                tried.append(Attempt(decision.cause_id, today, decision.newest_decision, outcome))
        assert sum(attempt.day == today for attempt in tried) <= SPEC.retraining.daily_budget
    drift = decide(SPEC, replace(found, loss=None, code=(), attempts=())).cause_id
    assert any(attempt.cause_id == drift for attempt in tried)
