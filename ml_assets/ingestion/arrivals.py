"""Which days can be ingested now: arrived, and not in the lake yet, or changed since."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from ml_assets.ingestion.addresses import source_files, stamp_of
from ml_assets.ingestion.errors import IngestionError
from ml_assets.ingestion.ledger import changed_days, days_between, read_ledger
from ml_assets.ingestion.sources.journal import Journal
from ml_assets.ingestion.spec import SourceSpec, TableSpec
from ml_assets.settings import Settings

LOOK_BACK = 7
"""Days already ingested whose files are looked at again: a correction may have been dropped."""


@dataclass(frozen=True)
class Arrivals:
    """The days to ingest, first to last without a gap, or None; `why` says it for people.

    `waiting`: a later day is held back, as something of it has not arrived.
    """

    days: tuple[date, date] | None
    why: str
    waiting: bool = False


def arrivals(
    source: SourceSpec, settings: Settings, today: date, since: date | None = None, *, again: date | None = None
) -> Arrivals:
    """Days before `today` that are complete and not in the lake as they are now.

    Features of a day rest on the days before it: a missing file holds back every day after it, and a changed day
    is followed by all days up to the newest.

    Args:
        source: the shop, or one beside it.
        settings: where its files and the lake are.
        today: the day that is not over.
        since: a day to look at again, where that is further back than `LOOK_BACK`.
        again: a day to ingest again whatever the lake has of it, as what was made of it then failed.
    """
    newest = _newest(source, settings)
    last = _last(source, today)
    if newest is not None and newest >= last and source.calendar.end is not None and not (since or again):
        return Arrivals(None, f"{source.name}'s calendar ended on {source.calendar.end}: nothing newer can arrive")
    first = _first(source, newest, min((day for day in (since, again) if day), default=None))
    if source.simulation is not None:  # the simulated world drops its files when it is asked to
        start = source.calendar.start if newest is None else newest + timedelta(days=1)
        return Arrivals((start, last), f"{start} to {last} are due") if start <= last else _current(newest)
    changed: date | None = None
    for day in days_between(first, last):
        try:
            found = [table for table in source.tables if changed_days(source, table, settings, day, day)]
        except IngestionError as error:
            before = None if changed is None else (changed, day - timedelta(days=1))
            return Arrivals(before, f"waiting for {day}: {error}", waiting=True)
        changed = changed or (day if found or day == again else None)
    return _current(newest) if changed is None else Arrivals((changed, last), f"{changed} to {last} arrived or changed")


def signature(source: SourceSpec, settings: Settings, today: date) -> dict[str, str]:
    """What stands for everything that has arrived of each table; it changes when something arrives.

    Cheap: of landed tables the newest piece, of delivered ones size and time of the files `arrivals` would look at.
    """
    newest, days = _newest(source, settings), _last(source, today)
    window = days_between(_first(source, newest, None), days)
    return {name: _mark(table, settings, window) for name, table in source.tables.items()}


def late_days(source: SourceSpec, settings: Settings, seen: Mapping[str, str]) -> list[date]:
    """Days that landed tables got files for since that signature, in order."""
    found: set[date] = set()
    for name, table in source.tables.items():
        if table.source is not None:
            found.update(Journal(settings.landing / name).days_since(int(seen.get(name, "0").split()[0])))
    return sorted(found)


def _mark(table: TableSpec, settings: Settings, window: Sequence[date]) -> str:
    if table.source is not None:
        journal = Journal(settings.landing / table.name)
        return f"{journal.last()} {journal.complete_to}"
    found = hashlib.sha256()
    for days in [window] if table.day is not None else [[day] for day in window]:
        try:
            files = source_files(table, settings, days)
        except IngestionError:
            continue
        for file in files:
            found.update(f"{file.label}\t{stamp_of(file.path)}\n".encode())
    return found.hexdigest()[:24]


def _last(source: SourceSpec, today: date) -> date:
    return min(source.calendar.end or today, today - timedelta(days=1))


def _first(source: SourceSpec, newest: date | None, since: date | None) -> date:
    """Where to begin to look: at the newest days in the lake, at `since`, or at the calendar's first day."""
    back = source.calendar.start if newest is None else newest - timedelta(days=LOOK_BACK)
    return max(source.calendar.start, back if since is None else min(since, back))


def _newest(source: SourceSpec, settings: Settings) -> date | None:
    """The newest day that every table has."""
    newest = [max(read_ledger(settings.lake, table), default=None) for table in source.tables]
    known = [day for day in newest if day is not None]
    return min(known) if len(known) == len(newest) else None


def _current(newest: date | None) -> Arrivals:
    return Arrivals(None, f"everything up to {newest} is in the lake")
