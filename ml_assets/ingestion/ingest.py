"""Ingest a range of days: read as text, check against the contract, quarantine bad rows, publish at once."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import duckdb

from ml_assets.files import sha256_file
from ml_assets.ingestion.addresses import SourceFile, source_files
from ml_assets.ingestion.checks import checked_sql, derived_sql, raw_sql
from ml_assets.ingestion.columns import Binder
from ml_assets.ingestion.duplicates import mark_duplicates
from ml_assets.ingestion.errors import IngestionError
from ml_assets.ingestion.ledger import LedgerEntry, append_entries, days_between
from ml_assets.ingestion.messages import keys_read, open_messages
from ml_assets.ingestion.parts import write_good, write_quarantine
from ml_assets.ingestion.publish import Stage, part, stage
from ml_assets.ingestion.readers import DELIVER_AGAIN, RawFile, literal, open_raw, quote
from ml_assets.ingestion.report import DayReport, IngestReport
from ml_assets.ingestion.spec import SourceSpec, TableSpec
from ml_assets.ingestion.upstream import load_upstream
from ml_assets.settings import Settings

CHUNK_ROWS = 1_000_000
"""Rows held in memory at once; days are never split, and the result does not depend on it."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Chunk:
    """Days that are checked together, and the files their rows are in (all with the same columns)."""

    days: tuple[date, ...]
    files: tuple[RawFile, ...]
    rows: int


@dataclass(frozen=True)
class Run:
    """What every step of one run needs."""

    source: SourceSpec
    table: TableSpec
    settings: Settings
    stage: Stage
    connection: duckdb.DuckDBPyConnection


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

    All or nothing: an error leaves the lake as it was. The same files give the same bytes, in one range or
    day by day.

    Raises:
        IngestionError: when a file is missing, half-written, unreadable or without a column, when the range
        leaves the
            calendar, or when an upstream table has not been ingested for these days.
    """
    spec = source.table(table)
    _check_range(source, start, end)
    days = days_between(start, end)
    tell = progress or (lambda _: None)
    with stage(settings.lake, table) as staged, _connect(settings, staged.folder) as connection:
        run = Run(source, spec, settings, staged, connection)
        load_upstream(source, spec, settings.lake, days, connection)
        files = _open_files(run, days)
        reports: list[DayReport] = []
        for chunk in _chunks(run, files, days):
            reports += _ingest_chunk(run, chunk)
            tell(f"{table}: {chunk.days[0]} to {chunk.days[-1]} checked, {chunk.rows:,} rows")
        for raw in files:
            raw.check_untouched()
        entries = [_entry(run, files, report) for report in reports]
        with staged.publish():
            append_entries(settings.lake, table, entries)
    report = IngestReport(table, tuple(reports))
    tell(f"{table}: {report.rows_good:,} of {report.rows_in:,} rows published for {len(days)} days")
    return report


def _check_range(source: SourceSpec, start: date, end: date) -> None:
    calendar = source.calendar
    if not calendar.start <= start <= end <= (calendar.end or date.max):
        last = calendar.end or "open"
        problem = f"days {start} to {end} are not within the calendar, {calendar.start} to {last}"
        remedy = f"ask for days of the calendar, or change it in {source.name}.yaml"
        raise IngestionError(problem, remedy=remedy)


def _connect(settings: Settings, folder: Path) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute(f"set memory_limit = {literal(settings.memory)}")
    connection.execute(f"set threads = {settings.threads}")
    connection.execute(f"set temp_directory = {literal(folder / 'spill')}")
    connection.execute("set timezone = 'UTC'")
    connection.execute("set enable_progress_bar = false")
    return connection


def _open_files(run: Run, days: Sequence[date]) -> list[RawFile]:
    copies = run.stage.folder / "copies"
    copies.mkdir()
    found = source_files(run.table, run.settings, days)
    keys = keys_read(run.source, run.table, run.connection) if run.table.format == "messages" else ()
    files = [_open(run, file, keys, copies / f"{number:06d}.parquet") for number, file in enumerate(found)]
    checked: set[tuple[str, ...]] = set()
    for raw in files:
        empty_jsonl = raw.staged and not raw.rows and not raw.columns
        if raw.columns not in checked and not empty_jsonl:
            Binder(run.source, run.table, raw.columns, raw.file.path, run.connection).check()
            checked.add(raw.columns)
    return files


def _open(run: Run, file: SourceFile, keys: Sequence[str], copy: Path) -> RawFile:
    if file.format == "messages":
        return open_messages(file, keys, copy, run.connection)
    return open_raw(file, run.table, copy, run.connection)


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
    found = _execute(run, files, f"select _day, count(*) from ({raw}) group by _day").fetchall()
    return dict.fromkeys(days, 0) | dict(found)


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
    columns = [name for name, *_ in described if not name.startswith("_")]
    _execute(
        run,
        chunk.files,
        f"create or replace temp table checked as {checked_sql(table, 'source_rows', columns)}",
    )
    window = table.time.max_lateness_days or 0
    before = days_between(first - timedelta(days=window), first - timedelta(days=1))
    mark_duplicates(table, [path for day in before if (path := _earlier_part(run, day))], connection)
    write_good(table, chunk.days, run.stage, connection)
    write_quarantine(table, chunk.days, run.stage, connection)
    reports = _reports(connection, chunk.days)
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
        f"null::varchar as _line, struct_pack(a := '') as _raw, {columns}, "
        "null::varchar[] as _reasons limit 0"
    )
    write_good(run.table, [day], run.stage, run.connection)
    write_quarantine(run.table, [day], run.stage, run.connection)
    return DayReport(day, 0, 0, 0, {})


def _reports(connection: duckdb.DuckDBPyConnection, days: Sequence[date]) -> list[DayReport]:
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
    return [DayReport(day, good[day] + bad[day], good[day], bad[day], reasons[day]) for day in days]


def _execute(run: Run, files: Sequence[RawFile], sql: str) -> duckdb.DuckDBPyConnection:
    """Run SQL that reads raw files, and blame the file when one cannot be read to its end."""
    try:
        return run.connection.execute(sql)
    except duckdb.Error as error:
        why = str(error).splitlines()[0]
        for raw in files:
            try:
                run.connection.execute(f"select sum(hash(columns(*))) from read_parquet({literal(raw.parquet)})")
            except duckdb.Error as culprit:
                problem = f"the file cannot be read to its end ({str(culprit).splitlines()[0]})"
                raise IngestionError(problem, file=raw.file.path, remedy=DELIVER_AGAIN) from error
        where = f"tables.{run.table.name} in {run.source.name}.yaml"
        remedy = f"make the SQL of {where} safe (try_cast, not cast)"
        raise IngestionError(f"a row breaks the mapping's SQL: {why}", remedy=remedy) from error


def _entry(run: Run, files: Sequence[RawFile], report: DayReport) -> LedgerEntry:
    sources = {raw.file.label: raw.sha256 for raw in files if raw.file.day in {None, report.day}}
    published = sha256_file(part(run.stage.folder, run.table.name, report.day))
    ordered = json.loads(json.dumps(report.reasons, sort_keys=True))
    return LedgerEntry(report.day, sources, run.table.fingerprint, published, replace(report, reasons=ordered))
