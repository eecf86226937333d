"""Whether to train again: a pure function of the facts.

A cause is acted on once. It is tried again only when its attempt came to nothing: the refit held it back (then when
new labels are complete), or its run died. Whatever the cause, one training at a time, no more a day than the budget,
and none while data checks fail: bad data is not drift.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from ml_assets.config.model_spec import ModelSpec, RetrainingSpec
from ml_assets.retraining.facts import Alarm, Attempt, Calendar, Cause, Decision, Facts, Outcome, Trained


@dataclass(frozen=True)
class _Open:
    """A cause that holds now; `since`: the day from which on a decision must be learned to deal with it."""

    cause: Cause
    said: str
    why: str
    fresh: bool
    since: date | None = None

    @property
    def cause_id(self) -> str:
        """Content address of what is said; `why` is for people and may be worded anew."""
        return f"{self.cause}-{hashlib.sha256(self.said.encode()).hexdigest()[:12]}"


@dataclass(frozen=True)
class _Hold:
    """Why a cause is not acted on now, and until when, where that is known."""

    why: str
    until: date | None = None


def decide(spec: ModelSpec, facts: Facts, *, scheduled: bool = False) -> Decision:
    """Decide whether to train again now.

    The first open cause that nothing holds back is acted on, in the order of `Cause`. If all are held, the decision
    names the first and says what it waits for.

    Args:
        spec: the model; `retraining` says when and how often.
        facts: as of `gather`.
        scheduled: a schedule asks: a cause of its own, the least urgent one.
    """
    first: tuple[_Open, _Hold] | None = None
    for found in _open_causes(spec, facts, scheduled):
        hold = _held(spec, facts, found)
        if hold is None:
            return _decision(facts, found, None)
        first = first or (found, hold)
    return _decision(facts, *first) if first else _nothing(facts)


def _open_causes(spec: ModelSpec, facts: Facts, scheduled: bool) -> Iterator[_Open]:
    champion, calendar = facts.champion, facts.calendar
    if champion is not None:
        for cause, alarm in ((Cause.QUALITY, facts.loss), (Cause.DRIFT, facts.drift)):
            if alarm is not None and champion.newest_decision < alarm.since:  # otherwise it knows those days already
                yield _alarmed(cause, alarm, champion)
        age = (facts.today - champion.newest_label).days
        if age > spec.retraining.max_age_days and not _nothing_newer(champion, calendar):
            yield _aged(champion, spec.retraining.max_age_days, age)
        if facts.code:
            said = f"{facts.code_id} after version {champion.version}"
            yield _Open(Cause.CODE, said, _code_text(facts), _must_be_fresh(champion, calendar))
    if scheduled:
        fresh = champion is not None and _must_be_fresh(champion, calendar)
        yield _Open(Cause.SCHEDULE, f"schedule of {facts.today}", "the schedule asks", fresh)


def _alarmed(cause: Cause, alarm: Alarm, champion: Trained) -> _Open:
    said = f"{cause} since {alarm.since} on version {champion.version}"
    return _Open(cause, said, f"{_called(cause)} since {alarm.since}: {alarm.what}", fresh=True, since=alarm.since)


def _aged(champion: Trained, limit: int, age: int) -> _Open:
    """Once per `limit` days: a champion that was kept becomes too old again. Only newer labels make it younger."""
    said = f"version {champion.version} is {age // limit} x {limit} days old"
    why = f"version {champion.version} knows nothing after {champion.newest_label}, more than {limit} days ago"
    return _Open(Cause.AGE, said, why, fresh=True, since=champion.newest_decision + timedelta(days=1))


def _nothing_newer(champion: Trained, calendar: Calendar | None) -> bool:
    """A champion whose training set holds all there is, if only to judge it, is as young as its split lets it be."""
    return calendar is not None and champion.newest_seen is not None and calendar.newest <= champion.newest_seen


def _must_be_fresh(champion: Trained, calendar: Calendar | None) -> bool:
    """The regular cut would judge on decisions that this champion was trained on: no candidate could beat it there."""
    return calendar is not None and calendar.judged is not None and champion.newest_decision >= calendar.judged


def _held(spec: ModelSpec, facts: Facts, found: _Open) -> _Hold | None:
    rules = spec.retraining
    if not rules.enabled:
        return _Hold("retraining.enabled is false")
    if facts.in_flight:
        return _Hold("a training is under way")
    if facts.releasing:
        return _Hold("a release is under way: one change at a time")
    if facts.failed_data_checks:
        return _Hold(f"data checks fail, and bad data teaches nothing: {_listed(facts.failed_data_checks)}")
    return _unlearnable(spec, facts, found) or _tried(rules, facts, found) or _overspent(rules, facts)


def _unlearnable(spec: ModelSpec, facts: Facts, found: _Open) -> _Hold | None:
    """Nothing new can be learned yet: the labels that would teach it are still forming."""
    calendar = facts.calendar
    if calendar is None or (calendar.fresh if found.fresh else calendar.judged) is None:
        return _Hold("there are too few decisions with complete labels to train on")
    if calendar.fresh is None or found.since is None or calendar.fresh >= found.since:
        return None
    if calendar.ended is not None and found.since > calendar.newest:
        return _Hold(f"the data of {spec.source} ended on {calendar.ended}: no label of {found.since} will ever come")
    until = learnable_from(calendar, found.since, spec.horizon_days)
    return _Hold(f"no training can learn from decisions since {found.since} before {until}", until)


def learnable_from(calendar: Calendar, since: date, horizon_days: int) -> date:
    """The day of data from which on a training on the fresh cut learns from a decision at or after `since`.

    The first such decision must be followed by those that the cut judges on, and the last one's label be complete.

    Raises:
        ValueError: when the calendar has too few decisions for a cut.
    """
    if calendar.fresh is None:
        raise ValueError("too few decisions for a cut: nothing says how far behind a training would be")
    steps = -((calendar.newest - since).days // calendar.every_days)  # rounded up, whichever side `since` lies on
    first = calendar.newest + timedelta(days=steps * calendar.every_days)
    return first + (calendar.newest - calendar.fresh) + timedelta(days=horizon_days)


def _tried(rules: RetrainingSpec, facts: Facts, found: _Open) -> _Hold | None:
    attempts = [attempt for attempt in facts.attempts if attempt.cause_id == found.cause_id]
    if not attempts:
        return None
    last = attempts[-1]
    judged = next((attempt for attempt in reversed(attempts) if attempt.outcome is Outcome.JUDGED), None)
    if judged is not None:
        told = f"the gate has judged what was trained on {judged.day}: {judged.said or 'see the journal'}"
        return _Hold(f"this cause was dealt with: {told}")
    again = last.day + timedelta(days=rules.cooldown_days)
    if facts.today < again:
        return _Hold(f"tried on {last.day} ({last.outcome}); not again before {again}", again)
    if last.outcome is Outcome.HELD and not _newer(facts.calendar, last):
        return _Hold(f"a refit on {last.day} did not help; again when new labels are complete")
    return None


def _newer(calendar: Calendar | None, last: Attempt) -> bool:
    return calendar is not None and (last.newest_decision is None or calendar.newest > last.newest_decision)


def _overspent(rules: RetrainingSpec, facts: Facts) -> _Hold | None:
    today = sum(attempt.day == facts.today for attempt in facts.attempts)
    if today < rules.daily_budget:
        return None
    tomorrow = facts.today + timedelta(days=1)
    return _Hold(f"the budget of {rules.daily_budget} trainings a day is spent; again on {tomorrow}", tomorrow)


def _decision(facts: Facts, found: _Open, hold: _Hold | None) -> Decision:
    tried = sum(attempt.cause_id == found.cause_id for attempt in facts.attempts)
    return Decision(
        retrain=hold is None,
        cause=found.cause,
        reason=found.why if hold is None else f"{found.why}; held back: {hold.why}",
        day=facts.today,
        fresh=found.fresh,
        cause_id=found.cause_id,
        attempt_id="" if hold else f"{found.cause_id}-{facts.today}-{tried + 1}",
        changes=_changes(facts),
        newest_decision=facts.calendar.newest if facts.calendar else None,
        not_before=hold.until if hold else None,
    )


def _nothing(facts: Facts) -> Decision:
    """No cause is open; an alarm that holds all the same is told with why it is none."""
    served = "nothing calls for a training" if facts.champion else "there is no champion yet: train the first one"
    alarms = ((Cause.QUALITY, facts.loss), (Cause.DRIFT, facts.drift))
    known = [f"{_called(cause)} since {alarm.since} holds ({alarm.what})" for cause, alarm in alarms if alarm]
    if facts.champion and known:
        learned = f"version {facts.champion.version} was trained on decisions up to {facts.champion.newest_decision}"
        served = f"{'; '.join(known)}, but {learned} and knows those days: training again would learn nothing new"
    newest = facts.calendar.newest if facts.calendar else None
    return Decision(False, Cause.NONE, served, facts.today, changes=_changes(facts), newest_decision=newest)


def _called(cause: Cause) -> str:
    return "drift" if cause is Cause.DRIFT else "loss of quality"


def _code_text(facts: Facts) -> str:
    return f"code or spec changed since the champion was trained: {_listed(facts.code)}"


def _changes(facts: Facts) -> str:
    """Code and data told apart: a model that changed for the one was not changed by the other."""
    said = [f"code: {_listed(facts.code)}"] if facts.code else []
    if facts.data:
        said.append(f"data rewritten: {_listed(facts.data)}")
    newer = facts.calendar and facts.champion and facts.calendar.newest > facts.champion.newest_decision
    if newer and facts.calendar and facts.champion:
        said.append(f"data new: decisions after {facts.champion.newest_decision} up to {facts.calendar.newest}")
    return "; ".join(said)


def _listed(texts: tuple[str, ...], shown: int = 3) -> str:
    more = f" and {len(texts) - shown} more" if len(texts) > shown else ""
    return ", ".join(texts[:shown]) + more
