"""Ingest a range of days: read as text, check against the contract, quarantine bad rows, publish at once."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import duckdb

from ml_assets.config.ingestion_error import IngestionError
from ml_assets.config.settings import Settings
from ml_assets.config.source_spec import SourceSpec
from ml_assets.ingestion.connectors.landed import stamp_of
from ml_assets.ingestion.contract.checks import checked_sql, derived_sql, raw_sql
from ml_assets.ingestion.contract.duplicates import mark_duplicates
from ml_assets.ingestion.contract.erased import drop_erased, read_tombstones
from ml_assets.ingestion.contract.offsets import Offsets
from ml_assets.ingestion.contract.upstream import load_upstream, missing_upstream
from ml_assets.ingestion.days.ledger import LedgerEntry, days_between, ledger_path
from ml_assets.ingestion.days.refusals import note_refusals
from ml_assets.ingestion.days.report import DayReport, IngestReport
from ml_assets.ingestion.parts import write_good, write_quarantine
from ml_assets.ingestion.publish import part, stage
from ml_assets.ingestion.reading.readers import RawFile, quote
from ml_assets.ingestion.run import Run, connect, execute, open_files, refusals
from ml_assets.storage.files import sha256_file

CHUNK_ROWS = 1_000_000
"""Rows held in memory at once; days are never split, and the result does not depend on it."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Chunk:
    """Days that are checked together, and the files their rows are in (all with the same columns)."""

    days: tuple[date, ...]
    files: tuple[RawFile, ...]
    rows: int


def ingest(
    source: SourceSpec,
    table: str,
    settings: Settings,
    start: date,
    end: date,
    *,
    progress: Progress | None = None,
) -> IngestReport:
    """Publish the days `start` to `end` (both included) of a table, their quarantine and ledger entries.

    A day whose file is missing, half-written, unreadable or without a column, or whose upstream day is not in the lake,
    is refused and stays as it was; the others are published all at once. The same files give the same bytes, in one
    range or day by day.

    Raises:
        IngestionError: when the range leaves the calendar, or none of its days can be published; the lake is as it was.
    """
    spec = source.table(table)
    _check_range(source, start, end)
    days = days_between(start, end)
    tell = progress or (lambda _: None)
    with stage(settings.lake, table) as staged, connect(settings, staged.folder) as connection:
        run = Run(source, spec, settings, staged, connection)
        run.failed.update(missing_upstream(spec, settings.lake, days))
        run.passing.update(run.failed)
        reports, files, notes = _ingest_days(run, run.left(days), tell)
        refused = refusals(run)
        if reports:
            entries = [_entry(run, files, report) for report in reports]
            staged.publish(ledger_path(settings.lake, table), "".join(f"{entry.to_json()}\n" for entry in entries))
        note_refusals(settings.lake, table, days, refused)
        if not reports:
            raise run.failed[min(run.failed)]
    report = IngestReport(table, tuple(reports), notes, run.places, refused)
    for note in notes:
        tell(f"{table}: {note}")
    for refusal in refused:
        tell(f"{table} of {refusal.day} was not published: {refusal.text}")
    for reason, count in report.reasons.items():
        tell(f"{table}: {count:,} rows set aside as {reason}, the first is in {run.places[reason]}")
    tell(f"{table}: {report.rows_good:,} of {report.rows_in:,} rows published for {len(reports)} of {len(days)} days")
    return report


def _ingest_days(
    run: Run, days: Sequence[date], tell: Progress
) -> tuple[list[DayReport], list[RawFile], tuple[str, ...]]:
    """Set the days aside that can be published: what was found on them, their files, and what was assumed."""
    files = open_files(run, days) if days else []
    left = run.left(days)
    if not left:
        return [], [], ()
    load_upstream(run.source, run.table, run.settings.lake, left, run.connection)
    reports: list[DayReport] = []
    for chunk in _chunks(run, files, left):
        reports += _chunk_or_days(run, chunk)
        tell(f"{run.table.name}: {chunk.days[0]} to {chunk.days[-1]} checked, {chunk.rows:,} rows")
    for raw in files:
        if raw.touched:
            run.fail(raw.file.day, raw.changed())
            run.passing.update(run.failed.keys() & {raw.file.day})
    if run.left(left) == [report.day for report in reports]:
        notes = (*(raw.note for raw in files if raw.note), *run.offsets.notes())
        return reports, files, notes
    run.places.clear()
    run.stage.begin_anew()  # rows of a day that is left out now may have been seen as the first of their key
    return _ingest_days(replace(run, offsets=Offsets()), run.left(left), tell)


def _check_range(source: SourceSpec, start: date, end: date) -> None:
    calendar = source.calendar
    if not calendar.start <= start <= end <= (calendar.end or date.max):
        last = calendar.end or "open"
        problem = f"days {start} to {end} are not within the calendar, {calendar.start} to {last}"
        remedy = f"ask for days of the calendar, or change it in {source.name}.yaml"
        raise IngestionError(problem, remedy=remedy)


def _chunks(run: Run, files: Sequence[RawFile], days: Sequence[date]) -> Iterator[Chunk]:
    """Consecutive days of at most `CHUNK_ROWS` rows (one day at least) whose files have the same columns."""
    by_day = {day: tuple(raw for raw in files if raw.rows and raw.file.day in {None, day}) for day in days}
    rows = {day: sum(raw.rows for raw in of_day) for day, of_day in by_day.items()}
    if run.table.day is not None:
        rows = _count_rows(run, by_day[days[0]], days)
    held: list[date] = []
    for day in days:
        full = sum(rows[other] for other in held) + rows[day] > CHUNK_ROWS
        if held and (full or _columns(by_day[day]) != _columns(by_day[held[-1]])):
            yield _chunk(held, by_day, rows)
            held = []
        held.append(day)
    yield _chunk(held, by_day, rows)


def _columns(files: Sequence[RawFile]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for raw in files for name in raw.columns))


def _chunk(days: list[date], files: dict[date, tuple[RawFile, ...]], rows: dict[date, int]) -> Chunk:
    unique = dict.fromkeys(raw for day in days for raw in files[day])
    return Chunk(tuple(days), tuple(unique), sum(rows[day] for day in days))


def _count_rows(run: Run, files: Sequence[RawFile], days: Sequence[date]) -> dict[date, int]:
    if not files:
        return dict.fromkeys(days, 0)
    raw = raw_sql(files, run.table, run.source.calendar)
    found = execute(run, files, f"select _day, count(*) from ({raw}) group by _day").fetchall()
    return dict.fromkeys(days, 0) | dict(found)


def _chunk_or_days(run: Run, chunk: Chunk) -> list[DayReport]:
    """Ingest a chunk; where a file of it cannot be read to its end, its other days one by one."""
    try:
        return _ingest_chunk(run, chunk)
    except IngestionError as error:
        if len(chunk.days) == 1 or any(raw.file.day is None for raw in chunk.files):
            run.fail(chunk.days[0] if chunk.files[0].file.day else None, error)
            return []
    by_day = {day: tuple(raw for raw in chunk.files if raw.file.day == day) for day in chunk.days}
    rows = {day: sum(raw.rows for raw in files) for day, files in by_day.items()}
    return [report for day in chunk.days for report in _chunk_or_days(run, _chunk([day], by_day, rows))]


def _ingest_chunk(run: Run, chunk: Chunk) -> list[DayReport]:
    table, connection = run.table, run.connection
    if chunk.rows == 0:
        return [_write_empty(run, day) for day in chunk.days]
    first, last = chunk.days[0], chunk.days[-1]
    raw = raw_sql(chunk.files, table, run.source.calendar)
    within = f"_day between date '{first.isoformat()}' and date '{last.isoformat()}'"
    connection.execute(f"create or replace temp view raw_rows as select * from ({raw}) where {within}")
    connection.execute(f"create or replace temp view source_rows as {derived_sql(table, 'raw_rows')}")
    described = connection.execute("describe source_rows").fetchall()
    checked = checked_sql(table, "source_rows", [name for name, *_ in described])
    execute(run, chunk.files, f"create or replace temp table checked as {checked}")
    run.offsets.count(table, "source_rows", connection)
    left_out = _left_out(run)
    erased = drop_erased(table, read_tombstones(run.settings), connection)
    window = table.time.max_lateness_days or 0
    before = days_between(first - timedelta(days=window), first - timedelta(days=1))
    mark_duplicates(table, [path for day in before if (path := _earlier_part(run, day))], connection)
    write_good(table, chunk.days, run.stage, connection)
    write_quarantine(table, chunk.days, run.stage, connection)
    run.places.update(_places(connection) | run.places)
    reports = _reports(connection, chunk.days, left_out, erased)
    counted = sum(report.rows_in for report in reports)
    if table.derive is None and counted != chunk.rows:
        raise RuntimeError(f"{chunk.rows} rows of {table.name} from {first} to {last} became {counted}")
    return reports


def _earlier_part(run: Run, day: date) -> Path | None:
    """The part of an earlier day, of this run or else of the lake; none when the day was never ingested."""
    candidates = [part(root, run.table.name, day) for root in (run.stage.folder, run.stage.lake)]
    return next((path for path in candidates if path.exists()), None)


def _write_empty(run: Run, day: date) -> DayReport:
    columns = ", ".join(f"null::{column.type} as {quote(name)}" for name, column in run.table.columns.items())
    run.connection.execute(
        "create or replace temp table checked as select '' as _source, null::date as _day, 0 as _row, "
        "null::bigint as _at, null::varchar as _line, null::varchar as _json, "
        f"struct_pack(a := '') as _raw, {columns}, "
        "null::varchar[] as _reasons limit 0"
    )
    write_good(run.table, [day], run.stage, run.connection)
    write_quarantine(run.table, [day], run.stage, run.connection)
    return DayReport(day, 0, 0, 0, {})


def _left_out(run: Run) -> dict[date, int]:
    """Raw rows by day of which `derive` made nothing."""
    if run.table.derive is None:
        return {}
    made = "select _source, _row from checked"
    sql = f"select _day, count(*) from raw_rows anti join ({made}) using (_source, _row) group by _day"
    return dict(run.connection.execute(sql).fetchall())


def _places(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Where the first row of each reason is: its file, and the line in it or the row of it."""
    place = "_source || coalesce(', line ' || _at, ', row ' || (_row + 1))"
    first = f"select _reasons[1] as reason, arg_min({place}, (_day, _source, _row)) from checked"
    return dict(connection.execute(f"{first} where _reasons is not null group by reason").fetchall())


def _reports(
    connection: duckdb.DuckDBPyConnection,
    days: Sequence[date],
    left_out: Mapping[date, int],
    erased: Mapping[date, int],
) -> list[DayReport]:
    found = connection.execute(
        "select _day, _reasons[1] as reason, count(*) from checked group by all order by _day, reason"
    ).fetchall()
    reasons: dict[date, dict[str, int]] = defaultdict(dict)
    good: dict[date, int] = defaultdict(int)
    for day, reason, count in found:
        if reason is None:
            good[day] = count
        else:
            reasons[day][reason] = count
    bad = {day: sum(reasons[day].values()) for day in days}
    gone = {day: {"erased": erased[day]} if day in erased else {} for day in days}
    found_rows = {day: good[day] + bad[day] + sum(gone[day].values()) for day in days}
    return [
        DayReport(day, found_rows[day], good[day], bad[day], reasons[day], left_out.get(day, 0), gone[day])
        for day in days
    ]


def _entry(run: Run, files: Sequence[RawFile], report: DayReport) -> LedgerEntry:
    sources = {raw.file.label: raw.sha256 for raw in files if raw.file.day in {None, report.day}}
    parts = [part(run.stage.folder, name, report.day) for name in (run.table.name, f"{run.table.name}_quarantine")]
    published, quarantined = (sha256_file(path) for path in parts)
    ordered = replace(report, reasons=json.loads(json.dumps(report.reasons, sort_keys=True)))
    stamps = {raw.file.label: raw.stamp for raw in files if raw.file.label in sources}
    written = tuple(stamp_of(path)[:2] for path in parts)  # a rename sets the change time
    return LedgerEntry(report.day, sources, run.table.fingerprint, published, ordered, quarantined, stamps, written)
