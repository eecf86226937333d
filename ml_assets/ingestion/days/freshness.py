"""How old the data is: the newest day that is there beside the newest one that should be.

What a run made a minute ago of last month's files is a month old. A calendar with an end is judged as of its end. A
simulated world whose calendar has an end has a clock of its own: its newest day is the day it stands at.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from ml_assets.config.settings import Settings
from ml_assets.config.source_spec import SourceSpec
from ml_assets.ingestion.days.made import newest_day

WITHIN = timedelta(hours=36)
"""After its midnight a day's data is promised to be there: the night's run, and time to repeat it."""


@dataclass(frozen=True)
class Freshness:
    """The newest day that every table of a source has, and the newest one that was to be there by now.

    Attributes:
        newest: None while there is nothing.
        due: None where no day has to be there yet, or where the source has a clock of its own.
        text: one line for people.
    """

    newest: date | None
    due: date | None
    text: str

    @property
    def ok(self) -> bool:
        """Whether the data is as new as promised."""
        return self.newest is not None and (self.due is None or self.newest >= self.due)


def clock() -> datetime:
    """Now, UTC."""
    return datetime.now(UTC)


def freshness(source: SourceSpec, settings: Settings, now: datetime) -> Freshness:
    """Judge the age of a source's data."""
    newest, due = newest_day(source, settings), due_day(source, now)
    if newest is None:
        return Freshness(None, due, f"{source.name} has no data yet: its first day is {source.calendar.start}")
    end = source.calendar.end
    said = f"{source.name}: the newest data is of {newest}"
    if due is not None and newest < due:
        late = (due - newest).days
        return Freshness(newest, due, f"{said}, {late} days older than promised: {due} should be there")
    said += f", where its calendar ended ({end})" if end is not None and newest >= end else ""
    return Freshness(newest, due, f"{said}, as new as promised")


def due_day(source: SourceSpec, now: datetime) -> date | None:
    """The newest day whose data must be there by now."""
    end = source.calendar.end
    if source.own_clock:
        return None
    due = (now - WITHIN).date() - timedelta(days=1)
    due = due if end is None else min(due, end)
    return due if due >= source.calendar.start else None
