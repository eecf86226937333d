"""What a decision to train again rests on, and the decision: plain values, so that deciding stays a pure function."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class Cause(StrEnum):
    """Why a model is trained again; the earlier one comes first when several hold."""

    QUALITY = "quality"
    DRIFT = "drift"
    AGE = "age"
    CODE = "code"
    SCHEDULE = "schedule"
    NONE = "none"


class Outcome(StrEnum):
    """What came of an attempt, as far as the journals know."""

    STARTED = "started"
    """Nothing was heard of it since: its run died, or is still under way."""
    WENT_ON = "went on"
    """The refit helped, but the gate has not spoken: its run died, or is still under way."""
    HELD = "held"
    """The refit did not help, so nothing was tuned."""
    JUDGED = "judged"
    """The gate promoted the candidate or kept the champion: the cause is dealt with."""


@dataclass(frozen=True)
class Trained:
    """The champion: its newest training decision, the last day whose outcomes are in its labels, and what judged it.

    `newest_seen` is the newest decision of any part of its training set, where that is recorded.
    """

    version: str
    newest_decision: date
    newest_label: date
    newest_seen: date | None = None


@dataclass(frozen=True)
class Alarm:
    """A drift or a loss that persists: the day it began, and what it is, for people."""

    since: date
    what: str


@dataclass(frozen=True)
class Attempt:
    """One training that a cause has started, the day (of data) it started and the newest decision then.

    `said`: what the gate said of it, once it was judged.
    """

    cause_id: str
    day: date
    newest_decision: date | None
    outcome: Outcome
    said: str = ""


@dataclass(frozen=True)
class Calendar:
    """Which decisions have complete labels, and how far a training would know them.

    Attributes:
        newest: the newest decision whose label is complete.
        every_days: days between two decisions.
        fresh: the newest decision that a training on the fresh cut learns from; None: too few decisions.
        judged: the oldest decision that the regular cut judges on; None: too few decisions.
        ended: the last day there will ever be, once the data has come so far; None: more is to come.
    """

    newest: date
    every_days: int
    fresh: date | None
    judged: date | None
    ended: date | None = None


@dataclass(frozen=True)
class Facts:
    """Everything `decide` looks at.

    Attributes:
        today: midnight after the newest day of data.
        champion: None while there is none.
        calendar: None while no decision has a complete label.
        drift, loss: what persists now.
        failed_data_checks: "asset: check: text".
        in_flight: a training of this model waits or runs.
        releasing: a challenger is under way to becoming what serves.
        attempts: oldest first.
        code: what of code and spec changed since the champion was trained.
        data: what of the data it knew has been rewritten since.
        code_id: names the present code and spec; empty when nothing changed.
    """

    today: date
    champion: Trained | None
    calendar: Calendar | None
    drift: Alarm | None = None
    loss: Alarm | None = None
    failed_data_checks: tuple[str, ...] = ()
    in_flight: bool = False
    releasing: bool = False
    attempts: tuple[Attempt, ...] = ()
    code: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    code_id: str = ""


@dataclass(frozen=True)
class Decision:
    """Whether to train again now, and why (not).

    Attributes:
        retrain: start a training.
        cause: the cause that is acted on, or that is held back; `none` when there is none.
        reason: one sentence for people.
        fresh: cut as close to now as the labels allow (`retraining.split`).
        cause_id: names the cause: the same one is acted on once.
        attempt_id: names this attempt; empty unless `retrain`.
        changes: what of code and data changed since the champion was trained, told apart.
        day: the day of data it was decided on.
        newest_decision: the newest decision with a complete label then.
        not_before: the day of data from which on it can be otherwise, where that is known.
    """

    retrain: bool
    cause: Cause
    reason: str
    day: date
    fresh: bool = False
    cause_id: str = ""
    attempt_id: str = ""
    changes: str = ""
    newest_decision: date | None = None
    not_before: date | None = None
