"""What the watching says about a life that was lived through, day by day, as it would in production."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from benchmarks.replay import Life
from ml_assets.datasets.provenance import Provenance
from ml_assets.ingestion.traffic import traffic
from ml_assets.monitoring.drift.daily import drift
from ml_assets.monitoring.quality.ranking_quality import quality
from ml_assets.registry.versions import load_version, versions_home
from ml_assets.retraining.alarms import drift_alarm, quality_alarm
from ml_assets.retraining.decide import decide
from ml_assets.retraining.facts import Attempt, Calendar, Cause, Facts, Outcome, Trained

EPISODE_DAYS = 3
"""Alarms at most so many days apart are one."""


@dataclass(frozen=True)
class Watched:
    """One day: what each part said, and what was decided."""

    day: date
    drift: str
    loss: str
    traffic: str
    alarm: bool
    retrain: bool
    judged: bool
    said: str

    @property
    def mark(self) -> str:
        """One letter per day."""
        return (
            "T"
            if self.traffic
            else "B"
            if self.drift and self.loss
            else "D"
            if self.drift
            else "Q"
            if self.loss
            else "."
        )


def watch(life: Life, days: Sequence[date]) -> list[Watched]:
    """Judge every day in turn.

    `alarm`: drift or a loss that persists, of a champion that does not know these days, on good data. `retrain`:
    what `decide` makes of it, given the labels that are complete by then.
    """
    found, attempts = [], list[Attempt]()
    for day in days:
        drifted, lost = drift(life.spec, life.settings, day), quality(life.spec, life.settings, day)
        data = traffic(life.settings, life.source, "events", day)
        facts = _facts(life, day, () if data.ok else (data.text,), drifted.version, attempts)
        decision = decide(life.spec, facts)
        if decision.retrain:
            attempts.append(Attempt(decision.cause_id, facts.today, decision.newest_decision, Outcome.STARTED))
        found.append(
            Watched(
                day=day,
                drift=drifted.text if drifted.persistent else "",
                loss=lost.text if lost.loss else "",
                traffic="" if data.ok else data.text,
                alarm=data.ok and decision.cause in {Cause.DRIFT, Cause.QUALITY},
                retrain=decision.retrain,
                judged=drifted.state == "judged" and lost.state == "judged",
                said=decision.reason,
            )
        )
    return found


def _facts(life: Life, day: date, failed: tuple[str, ...], version: str | None, attempts: Sequence[Attempt]) -> Facts:
    """The facts of the morning after `day`, without a registry or a warehouse: decisions are weekly, on Mondays."""
    spec, settings, today = life.spec, life.settings, day + timedelta(days=1)
    week = timedelta(days=spec.horizon_days)
    newest = today - week
    newest -= timedelta(days=newest.weekday())
    return Facts(
        today=today,
        champion=None if version is None else _trained(life, version),
        calendar=Calendar(newest, spec.horizon_days, fresh=newest - week * spec.retraining.split.test, judged=newest),
        drift=drift_alarm(spec, settings, today),
        loss=quality_alarm(spec, settings, today),
        failed_data_checks=failed,
        attempts=tuple(attempts),
    )


def _trained(life: Life, version: str) -> Trained:
    found = load_version(versions_home(life.settings, life.spec.name) / version)
    until = Provenance.of(found).trained_until
    if until is None:
        raise ValueError(f"{found.path} does not say what it was trained on: live through the shop again")
    return Trained(version, until, until + timedelta(days=life.spec.horizon_days - 1))


def episodes(watched: Sequence[Watched]) -> list[Watched]:
    """The first day of each alarm; days in a row, or nearly, are one."""
    found, last = [], None
    for each in watched:
        if each.alarm:
            if last is None or (each.day - last).days > EPISODE_DAYS:
                found.append(each)
            last = each.day
    return found
