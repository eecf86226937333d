"""Since when a drift or a loss holds: read from the monitoring's daily reports, as plain JSON.

What the newest report does not say any more is over. Looking back for the day it began, neither a single quiet day
ends it nor days on which nothing could be judged (too little traffic): the day, and with it the cause, stays the same
from day to day.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.monitoring.reports import report_path
from ml_assets.retraining.facts import Alarm

Report = dict[str, Any]
JUDGED = "judged"
"""State of a report that says anything; the others wait for traffic, outcomes or a reference."""


def drift_alarm(spec: ModelSpec, settings: Settings, today: date) -> Alarm | None:
    """The drift that persists in the days before `today`."""

    def days(report: Report) -> list[str]:
        return [each["day"] for each in report.get("windows", ()) if each["alarm"]] if report["persistent"] else []

    return _alarm(spec, settings, today, "drift", days)


def quality_alarm(spec: ModelSpec, settings: Settings, today: date) -> Alarm | None:
    """The loss of quality in the days before `today`."""

    def days(report: Report) -> list[str]:
        return [each["day"] for each in report["verdict"]["days"] if each["worse"]] if report["loss"] else []

    return _alarm(spec, settings, today, "quality", days)


def watched_until(spec: ModelSpec, settings: Settings, today: date) -> date:
    """The day before which alarms are looked for.

    The lists of a shop are watched on its own days. Events are watched when they are asked about, which may be long
    before the newest day whose labels are known: what is seen there is known as soon as it is written.
    """
    if spec.ranks:
        return today
    found = report_path(settings, spec.name, "drift", today).parent.glob("*.json")
    return max([today, *(date.fromisoformat(path.stem) + timedelta(days=1) for path in found)])


def _alarm(
    spec: ModelSpec, settings: Settings, today: date, name: str, days: Callable[[Report], list[str]]
) -> Alarm | None:
    """The newest run of alarms; `days` are those of a report on which it was so, none when it raises no alarm."""
    watched = spec.monitoring.drift
    found: Alarm | None = None
    day, quiet, unseen = today - timedelta(days=1), 0, 0
    while quiet < watched.windows and unseen < watched.reference_days:
        report = _read(settings, spec, name, day)
        alarming = days(report) if report else []
        if report and alarming:
            found = Alarm(min(map(date.fromisoformat, alarming)), report["text"])
        elif report and found is None:
            return None
        quiet = 0 if alarming else quiet + bool(report)
        unseen = 0 if report else unseen + 1
        day -= timedelta(days=1)
    return found


def _read(settings: Settings, spec: ModelSpec, name: str, day: date) -> Report | None:
    """The day's report; None when there is none, or when it could not judge."""
    path = report_path(settings, spec.name, name, day)
    try:
        found: Report = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return found if found["state"] == JUDGED else None
