"""Which days of its calendar a table has: days between the first and the newest without a row are gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from ml_assets.config.day_address import has_day
from ml_assets.config.settings import Settings
from ml_assets.config.source_spec import SourceSpec
from ml_assets.ingestion.days.ledger import LedgerEntry, days_between, read_ledger

SHOWN = 5


@dataclass(frozen=True)
class Gaps:
    """What a table has of its calendar.

    Attributes:
        days: those without rows, in order; of a table whose files are delivered by day, those without a file.
        there: how many of the calendar's days up to the last one looked at it has.
        text: one line for people.
    """

    days: tuple[date, ...]
    there: int
    text: str


def gaps(source: SourceSpec, table: str, settings: Settings, until: date) -> Gaps:
    """The gaps of a table from its calendar's first day to `until`.

    A file that is delivered for its day and has no rows says that nothing happened. Where nothing says so (one file
    for many days, a source that is landed), a day without rows is a gap, unless its weekday never has any.
    """
    spec, start = source.table(table), source.calendar.start
    entries = {day: entry for day, entry in read_ledger(settings.lake, table).items() if start <= day <= until}
    by_day = has_day(spec.address)
    delivered = by_day and spec.source is None
    has = {day for day, entry in entries.items() if _has(entry, by_day=by_day)}
    open_on = {day.weekday() for day in has}
    missing = tuple(
        day
        for day in days_between(start, until)
        if day not in has and (day not in entries or delivered or day.weekday() in open_on)
    )
    whole = (until - start).days + 1
    said = f"{table} has {len(has):,} of the {whole:,} days from {start} to {until}"
    return Gaps(missing, len(has), f"{said}; {len(missing):,} are missing: {ranges(missing)}" if missing else said)


def _has(entry: LedgerEntry, *, by_day: bool) -> bool:
    return entry.report.rows_in > 0 or entry.report.rows_left_out > 0 or (by_day and bool(entry.sources))


def ranges(days: Sequence[date]) -> str:
    """The days, with runs of them as `first to last`."""
    runs: list[list[date]] = []
    for day in days:
        if runs and day - runs[-1][-1] == timedelta(days=1):
            runs[-1].append(day)
        else:
            runs.append([day])
    shown = [f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs[:SHOWN]]
    more = len(runs) - len(shown)
    return ", ".join(shown) + (f" and {more} more gaps" if more else "")
