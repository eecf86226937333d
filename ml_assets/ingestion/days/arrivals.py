"""Which days can be ingested now: arrived or corrected since, or what was made of them is older than they are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import chain

from ml_assets.config.ingestion_error import IngestionError
from ml_assets.config.settings import Settings
from ml_assets.config.source_spec import SourceSpec
from ml_assets.ingestion.connectors.addresses import source_files
from ml_assets.ingestion.days.gaps import ranges
from ml_assets.ingestion.days.ledger import days_between, read_ledger
from ml_assets.ingestion.days.made import newest_day, stale_days
from ml_assets.ingestion.days.report import IngestReport, decide_quarantine
from ml_assets.ingestion.days.standing import Standing, State, standings


@dataclass(frozen=True)
class Arrivals:
    """The days to ingest, first to last, or None; `why` says it for people in one line.

    Attributes:
        days: some between them may be missing; what is made without these is made again once they come.
        why: newest, arrived, waited for, failed, and why.
        waiting: something has not arrived, or was refused.
        mark: stands for the files that lie there; another one means that something arrived.
    """

    days: tuple[date, date] | None
    why: str
    waiting: bool = False
    mark: str = ""


@dataclass(frozen=True)
class _Look:
    """Every day of a source at one moment, by table; `held`: the first day that cannot be checked yet."""

    source: SourceSpec
    settings: Settings
    newest: date | None
    tables: Mapping[str, Mapping[date, Standing]]
    held: date | None

    def days(self, state: State) -> list[date]:
        """Days that stand like that in one of the tables."""
        return sorted({day for days in self.tables.values() for day, each in days.items() if each.state is state})


def arrivals(source: SourceSpec, settings: Settings, today: date, *, again: date | None = None) -> Arrivals:
    """Days before `today` that are in the lake otherwise than they lie there, and all that rest on them.

    Features of a day rest on the days before it: a day that is new or changed is followed by all days up to the newest.
    A missing or refused day holds back no other, but where rows are checked against it.

    Args:
        source: the shop, or one beside it.
        settings: where its files and the lake are.
        today: the day that is not over.
        again: a day to ingest again whatever the lake has of it, as what was made of it then failed.
    """
    newest, last = newest_day(source, settings), _last(source, today)
    if source.simulation is not None:  # the simulated world drops its files when it is asked to
        start = source.calendar.start if newest is None else newest + timedelta(days=1)
        due = Arrivals((start, last), f"{start} to {last} are due")
        return due if start <= last else Arrivals(None, f"everything up to {newest} is in the lake")
    try:
        look = _look(source, settings, newest, days_between(source.calendar.start, last))
    except IngestionError as error:
        return Arrivals(None, f"{_kept(newest)}; nothing has arrived: {error.line}", waiting=True)
    unsure = {*look.days(State.MISSING), *look.days(State.FAILED)}
    free = [day for day in look.days(State.ARRIVED) if day not in unsure and (look.held is None or day < look.held)]
    stale = {day for days in stale_days(source, settings).values() for day in days}
    failed = days_between(again, newest) if again and newest else ()
    blocked = {day: text for day, text in _blocked(look).items() if day not in free and day in {*stale, *failed}}
    todo = {*free, *stale, *failed} - blocked.keys()
    said = "; ".join([_backlog(look, unsure), *blocked.values()])
    if not todo:
        return Arrivals(None, said, waiting=bool(unsure or blocked))
    first = min(todo)
    end = min([day - timedelta(days=1) for day in blocked if day > first], default=max({newest or first, *free}))
    why = "arrived or changed" if free else "are made again, as days they rest on changed"
    return Arrivals((first, end), f"{first} to {end} {why}; {said}", waiting=bool(unsure or blocked), mark=_mark(look))


def _look(source: SourceSpec, settings: Settings, newest: date | None, days: Sequence[date]) -> _Look:
    tables = {name: standings(source, name, settings, days) for name in source.tables}
    upstream = set(chain.from_iterable(table.upstream for table in source.tables.values()))
    ledgers = {name: read_ledger(settings.lake, name) for name in upstream}
    lacking = [
        day
        for name, known in ledgers.items()
        for day, each in tables[name].items()
        if each.state in {State.MISSING, State.FAILED} and day not in known
    ]
    return _Look(source, settings, newest, tables, min(lacking, default=None))


def _blocked(look: _Look) -> dict[date, str]:
    """Days of which too much is in quarantine, with what to do: nothing is made of them, and the others go on."""
    found: dict[date, str] = {}
    for name, table in look.source.tables.items():
        reports = tuple(entry.report for entry in read_ledger(look.settings.lake, name).values())
        decision = decide_quarantine(IngestReport(name, reports), table)
        for day, share in decision.failed_days.items():
            found[day] = (
                f"nothing is made of {day}: {share:.2%} of {name} is in quarantine, more than {decision.limit:.2%}; "
                f"deliver the day again, or change the contract in {look.source.name}.yaml"
            )
    return found


def _backlog(look: _Look, unsure: Collection[date]) -> str:
    """One line: the newest day in the lake, what is waited for, what failed, what lies there behind it, and why."""
    said, calendar = [_kept(look.newest)], look.source.calendar
    missing, failed = look.days(State.MISSING), look.days(State.FAILED)
    arrived = [day for day in look.days(State.ARRIVED) if day not in unsure]
    known = max([day for day in (look.newest, *arrived, *failed) if day is not None], default=None)
    gaps = [day for day in missing if known is not None and day < known]
    if known is None:
        said.append("nothing has arrived")
    if missing:
        later = [day for day in missing if day not in gaps][:1]
        said.append(f"waiting for {ranges([*gaps, *later])}")
    if look.held is not None:
        behind = [day for day in look.days(State.ARRIVED) if day > look.held]
        if behind:
            lying = f"{len(behind)} later day{'s' if len(behind) > 1 else ''} ({behind[0]} to {behind[-1]})"
            said.append(f"{lying} there, checked against it")
    if failed:
        texts = (each.text for days in look.tables.values() for each in days.values() if each.state is State.FAILED)
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        said.append(f"failed: {ranges(failed)}: {next(texts)}{more}")
    if missing:
        said.append(_why_missing(look, missing[0]))
    elif calendar.end is not None and look.newest == calendar.end:
        said.append(f"{look.source.name}'s calendar ended on {calendar.end}: nothing newer can arrive")
    return "; ".join(said)


def _why_missing(look: _Look, day: date) -> str:
    for name, days in look.tables.items():
        if days[day].state is State.MISSING:
            try:
                source_files(look.source.table(name), look.settings, [day])
            except IngestionError as error:
                return error.line
    return f"{day} has just arrived"


def _mark(look: _Look) -> str:
    stamps = {
        name: {str(day): each.stamps for day, each in days.items() if each.stamps} for name, days in look.tables.items()
    }
    return hashlib.sha256(json.dumps(stamps, sort_keys=True).encode()).hexdigest()[:16]


def _last(source: SourceSpec, today: date) -> date:
    return min(source.calendar.end or today, today - timedelta(days=1))


def _kept(newest: date | None) -> str:
    return f"everything up to {newest} is in the lake" if newest else "nothing is in the lake"
