"""The decision to train again, case by case."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from made_up_facts import CALENDAR, CHAMPION, SPEC, TODAY, YOUNG, facts

from ml_assets.retraining import decide
from ml_assets.retraining.facts import Alarm, Attempt, Calendar, Cause, Outcome, Trained


def test_a_drift_is_learned_as_soon_as_labels_after_it_can_be_trained_on():
    drift = Alarm(date(2026, 6, 20), "derived__price_to_customer")
    held = decide(SPEC, facts(drift=drift))
    assert (held.retrain, held.cause, held.not_before) == (False, Cause.DRIFT, date(2026, 7, 6))
    assert "before 2026-07-06" in held.reason
    later = Calendar(date(2026, 6, 29), 7, date(2026, 6, 22), date(2026, 5, 25))
    now = decide(SPEC, facts(today=date(2026, 7, 6), calendar=later, drift=drift))
    assert (now.retrain, now.fresh, now.cause) == (True, True, Cause.DRIFT)
    assert now.cause_id == held.cause_id
    assert "derived__price_to_customer" in now.reason
    assert now.changes == "data new: decisions after 2026-05-11 up to 2026-06-29"
    learned = Trained("v2", date(2026, 6, 22), date(2026, 6, 28))
    assert decide(SPEC, facts(calendar=later, champion=learned, drift=drift)).cause is Cause.NONE


def test_the_first_of_several_held_causes_is_named():
    both = facts(drift=Alarm(date(2026, 6, 20), "prices"), loss=Alarm(date(2026, 6, 24), "clicks"))
    held = decide(SPEC, both)
    assert (held.retrain, held.cause) == (False, Cause.QUALITY)


def test_the_budget_of_a_day_is_for_all_causes_together():
    spent = tuple(Attempt(f"other {at}", TODAY, None, Outcome.STARTED) for at in range(2))
    held = decide(SPEC, facts(drift=Alarm(date(2026, 6, 1), "prices"), attempts=spent))
    assert not held.retrain
    assert held.not_before == TODAY + timedelta(days=1)
    assert decide(SPEC, facts(drift=Alarm(date(2026, 6, 1), "prices"), attempts=spent[:1])).retrain


def test_a_held_refit_waits_for_labels_a_lost_run_only_for_the_cooldown():
    drifting = facts(drift=Alarm(date(2026, 6, 1), "prices"))
    first = decide(SPEC, drifting)
    assert first.retrain
    tried = Attempt(first.cause_id, date(2026, 6, 28), CALENDAR.newest, Outcome.HELD)
    held = decide(SPEC, replace(drifting, attempts=(tried,)))
    assert not held.retrain
    assert "new labels" in held.reason
    again = decide(SPEC, replace(drifting, attempts=(replace(tried, newest_decision=date(2026, 6, 15)),)))
    assert again.retrain
    assert again.attempt_id != first.attempt_id
    assert decide(SPEC, replace(drifting, attempts=(replace(tried, outcome=Outcome.STARTED),))).retrain
    fresh_try = replace(tried, day=date(2026, 6, 29), outcome=Outcome.STARTED)
    assert decide(SPEC, replace(drifting, attempts=(fresh_try,))).not_before == date(2026, 7, 1)


def test_a_spent_cause_lets_the_next_one_through():
    both = facts(drift=Alarm(date(2026, 6, 1), "prices"), loss=Alarm(date(2026, 6, 8), "clicks"))
    first = decide(SPEC, both)
    assert first.cause is Cause.QUALITY
    done = Attempt(first.cause_id, date(2026, 6, 20), CALENDAR.newest, Outcome.JUDGED)
    second = decide(SPEC, replace(both, attempts=(done,)))
    assert (second.retrain, second.cause) == (True, Cause.DRIFT)


def test_a_kept_champion_becomes_too_old_again():
    old = facts(champion=Trained("v1", date(2026, 4, 20), date(2026, 4, 26)))
    first = decide(SPEC, old)
    assert (first.retrain, first.cause) == (True, Cause.AGE)
    done = Attempt(first.cause_id, TODAY, CALENDAR.newest, Outcome.JUDGED)
    assert not decide(SPEC, replace(old, attempts=(done,))).retrain
    later = replace(old, attempts=(done,), today=TODAY + timedelta(days=60))
    assert decide(SPEC, later).retrain


@pytest.mark.parametrize(("champion", "fresh"), [(CHAMPION, False), (YOUNG, True)])
def test_changed_code_is_a_cause_of_its_own_and_told_apart_from_data(champion: Trained, fresh: bool):
    changed = facts(champion=champion, code=("feat_customer.sql",), code_id="c1", data=("events before 2026-05-18",))
    decision = decide(SPEC, changed)
    assert (decision.retrain, decision.cause, decision.fresh) == (True, Cause.CODE, fresh)
    assert decision.changes.startswith("code: feat_customer.sql; data rewritten: events before 2026-05-18; data new")
    other = decide(SPEC, replace(changed, code_id="c2"))
    assert other.cause_id != decision.cause_id
    assert decide(SPEC, facts(data=("events before 2026-05-18",))).cause is Cause.NONE


def test_without_a_champion_only_a_schedule_trains():
    nobody = facts(champion=None, drift=Alarm(date(2026, 6, 1), "prices"))
    assert decide(SPEC, nobody).reason == "there is no champion yet: train the first one"
    assert decide(SPEC, nobody, scheduled=True).cause is Cause.SCHEDULE


def test_what_can_never_be_learned_says_so():
    ended = replace(CALENDAR, ended=date(2026, 6, 28))
    held = decide(SPEC, facts(calendar=ended, loss=Alarm(date(2026, 6, 29), "skill")))
    assert (held.retrain, held.cause, held.not_before) == (False, Cause.QUALITY, None)
    assert "ended on 2026-06-28: no label of 2026-06-29 will ever come" in held.reason
    assert decide(SPEC, facts(calendar=ended, loss=Alarm(date(2026, 6, 1), "skill"))).retrain


def test_an_alarm_that_the_champion_knows_is_told_though_nothing_is_trained():
    alarm = Alarm(since=YOUNG.newest_decision - timedelta(days=3), what="prices moved")
    found = decide(SPEC, facts(champion=YOUNG, drift=alarm))
    assert not found.retrain
    assert found.reason == (
        "drift since 2026-06-12 holds (prices moved), but version v2 was trained on decisions up to 2026-06-15 and "
        "knows those days: training again would learn nothing new"
    )


def test_a_champion_that_was_judged_on_all_there_is_is_not_too_old():
    old = Trained("v3", date(2026, 3, 2), date(2026, 3, 8), newest_seen=CALENDAR.newest)
    assert decide(SPEC, facts(champion=old)).cause is Cause.NONE
    newer = replace(CALENDAR, newest=CALENDAR.newest + timedelta(days=7))
    assert decide(SPEC, facts(champion=old, calendar=newer)).cause is Cause.AGE
