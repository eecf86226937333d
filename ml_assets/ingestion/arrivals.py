"""Which days can be ingested now: arrived, and not in the lake yet, or changed since."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from ml_assets.ingestion.errors import IngestionError
from ml_assets.ingestion.ledger import changed_days, days_between, read_ledger
from ml_assets.ingestion.spec import SourceSpec
from ml_assets.settings import Settings

LOOK_BACK = 7
"""Days already ingested whose files are looked at again: a correction may have been dropped."""


@dataclass(frozen=True)
class Arrivals:
    """The days to ingest, first to last without a gap, or None; `why` says it for people."""

    days: tuple[date, date] | None
    why: str


def arrivals(source: SourceSpec, settings: Settings, today: date) -> Arrivals:
    """Days before `today` that are complete and not in the lake as they are now.

    Features of a day rest on the days before it: a missing file holds back every day after it, and a changed day
    is followed by all days up to the newest.
    """
    newest = _newest(source, settings)
    last = min(source.calendar.end or today, today - timedelta(days=1))
    if newest is not None and newest >= last and source.calendar.end is not None:
        return Arrivals(None, f"the shop's calendar ended on {source.calendar.end}: nothing newer can arrive")
    first = source.calendar.start if newest is None else max(source.calendar.start, newest - timedelta(days=LOOK_BACK))
    if source.simulation is not None:  # the simulated world drops its files when it is asked to
        start = source.calendar.start if newest is None else newest + timedelta(days=1)
        return Arrivals((start, last), f"{start} to {last} are due") if start <= last else _current(newest)
    changed: date | None = None
    for day in days_between(first, last):
        try:
            found = any(changed_days(source, table, settings, day, day) for table in source.tables)
        except IngestionError as error:
            waiting = f"waiting for {day}: {error}"
            return Arrivals(None if changed is None else (changed, day - timedelta(days=1)), waiting)
        changed = changed or (day if found else None)
    return _current(newest) if changed is None else Arrivals((changed, last), f"{changed} to {last} arrived or changed")


def _newest(source: SourceSpec, settings: Settings) -> date | None:
    """The newest day that every table has."""
    newest = [max(read_ledger(settings.lake, table), default=None) for table in source.tables]
    known = [day for day in newest if day is not None]
    return min(known) if len(known) == len(newest) else None


def _current(newest: date | None) -> Arrivals:
    return Arrivals(None, f"everything up to {newest} is in the lake")
