"""Land what a table's source has: piece by piece, each exactly once, with patience for sources that break off."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

import tenacity

from ml_assets.config.connector_spec import LandedSource
from ml_assets.config.ingestion_error import IngestionError
from ml_assets.config.references import References
from ml_assets.config.settings import Settings
from ml_assets.config.source_spec import SourceSpec, TableSpec
from ml_assets.ingestion.connectors.base import Connector, LandingContext, UnreachableError
from ml_assets.ingestion.connectors.connector import connect, days_of, where
from ml_assets.ingestion.connectors.journal import Batch, Journal

Progress = Callable[[str], None]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Landed:
    """What one landing brought.

    Attributes:
        table: which table.
        pieces: steps it took.
        files: files landed.
        rows: rows in them, as far as they are counted (objects are not).
        days: days that got files, in order.
        notes: what people should know: ranges, late rows, changed objects.
        complete_to: the last day of which everything has landed; none for files that are delivered by day.
    """

    table: str
    pieces: int
    files: int
    rows: int
    days: tuple[date, ...]
    notes: tuple[str, ...]
    complete_to: date | None


def journal_of(settings: Settings, table: TableSpec) -> Journal:
    """The journal of a table's landings."""
    return Journal(settings.landing / table.name)


def land(
    source: SourceSpec,
    table: str,
    settings: Settings,
    *,
    now: datetime | None = None,
    progress: Progress | None = None,
    env: Mapping[str, str] | None = None,
) -> Landed:
    """Land everything the table's source has by now and note up to which day that is all.

    A landing that was killed, at whatever point, is carried on by the next one.

    Args:
        source: the shop.
        table: name of a table with a `source`.
        settings: where to.
        now: the moment to take for now.
        progress: told what each piece brought.
        env: environment with the variables named in the YAML.

    Raises:
        IngestionError: when the source cannot be reached or read; pieces landed before stay landed.
    """
    spec = source.table(table)
    taken = spec.source
    if taken is None:
        raise ValueError(f"table {table} has no source: its files are delivered")
    now = now or datetime.now(UTC)
    tell = progress or (lambda _: None)
    journal = journal_of(settings, spec)
    with journal.writing():
        context = _context(source, spec, journal, now, env)
        connector = connect(spec, context)
        try:
            before, notes, rows, files = journal.last(), [], 0, 0
            head = _patiently(taken, connector, context.where, connector.head)
            while (piece := _next(taken, connector, context)) is not None:
                journal.commit(piece)
                rows, files = rows + piece.rows, files + len(piece.files)
                notes.append(piece.note)
                tell(f"{table}: {piece.note}")
        finally:
            connector.reset()
        journal.note_facts(head=head, landed_at=now.isoformat(), **_complete(source, spec, now))
    days = tuple(journal.days_since(before))
    return Landed(table, journal.last() - before, files, rows, days, tuple(notes), journal.complete_to)


def unlanded(
    source: SourceSpec, table: TableSpec, settings: Settings, now: datetime, env: Mapping[str, str] | None = None
) -> str | None:
    """A text that stands for what the source has and landing has not, or none; one cheap look, one try.

    A source is looked at when its pause since the last landing is over, or when another day is complete.

    Raises:
        IngestionError: when the source cannot be reached.
    """
    journal = journal_of(settings, table)
    due = _complete(source, table, now).get("complete_to")
    if due == journal.fact("complete_to") and _rests(journal, table, now):
        return None
    context = _context(source, table, journal, now, env)
    hurried = table if table.source is None else table.model_copy(update={"source": table.source.hurried()})
    connector = connect(hurried, context)
    try:
        head = connector.head()
    except UnreachableError as error:
        raise _unreachable(error, context.where, tries=1) from None
    finally:
        connector.reset()
    if head == journal.fact("head") and due == journal.fact("complete_to"):
        return None
    return f"{head} {due}"


def _rests(journal: Journal, table: TableSpec, now: datetime) -> bool:
    landed_at = journal.fact("landed_at")
    every = timedelta(0) if table.source is None else table.source.every
    return landed_at is not None and now - datetime.fromisoformat(landed_at) < every


def complete_to(source: SourceSpec, table: TableSpec, now: datetime) -> date | None:
    """The last day that is over by now, and has settled; none where a day is complete when its files are there."""
    taken = table.source
    if taken is None or taken.by_day:
        return None
    over = (now - taken.settles).astimezone(UTC).date() - timedelta(days=1)
    return over if source.calendar.end is None else min(over, source.calendar.end)


def _complete(source: SourceSpec, table: TableSpec, now: datetime) -> dict[str, str]:
    day = complete_to(source, table, now)
    return {} if day is None else {"complete_to": day.isoformat()}


def _context(
    source: SourceSpec, table: TableSpec, journal: Journal, now: datetime, env: Mapping[str, str] | None
) -> LandingContext:
    place = where(source, table)
    references = References(place) if env is None else References(place, env)
    return LandingContext(place, references, days_of(source, now.astimezone(UTC).date()), journal)


def _next(taken: LandedSource, connector: Connector, context: LandingContext) -> Batch | None:
    position = context.journal.position()
    return _patiently(taken, connector, context.where, lambda: connector.next_batch(position))


def _patiently(taken: LandedSource, connector: Connector, place: str, step: Callable[[], Result]) -> Result:
    """Do a step, again after growing pauses while the source cannot be reached."""
    wait = tenacity.wait_random_exponential(multiplier=0.5, max=taken.longest_pause.total_seconds())
    tries = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(taken.attempts), wait=wait, reraise=True,
        retry=tenacity.retry_if_exception_type(UnreachableError), before_sleep=lambda _: connector.reset(),
    )  # fmt: skip
    try:
        return tries(step)
    except UnreachableError as error:
        raise _unreachable(error, place, taken.attempts) from None


def _unreachable(error: UnreachableError, place: str, tries: int) -> IngestionError:
    problem = f"the source could not be read, {tries} times ({error})"
    return IngestionError(problem, file=place, remedy="bring it up and run again: it goes on where it stopped")
