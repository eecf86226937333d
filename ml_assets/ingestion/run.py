"""One run of ingestion: its connection, its files, and which of its days cannot be published."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import duckdb

from ml_assets.config.ingestion_error import DELIVER_AGAIN, IngestionError
from ml_assets.config.settings import Settings
from ml_assets.config.source_spec import SourceSpec, TableSpec
from ml_assets.ingestion.connectors.addresses import SourceFile, files_there, source_files
from ml_assets.ingestion.contract.offsets import Offsets
from ml_assets.ingestion.days.refusals import Refusal
from ml_assets.ingestion.publish import Stage
from ml_assets.ingestion.reading.columns import Binder, keys_read
from ml_assets.ingestion.reading.json_lines import open_json_lines
from ml_assets.ingestion.reading.messages import ENVELOPE, open_messages
from ml_assets.ingestion.reading.readers import RawFile, literal, open_raw, parquet

NESTED = re.compile(r"\b(STRUCT|MAP|UNION)\b|\[\]|\blist\b", re.IGNORECASE)
"""A cast to such a type, in what DuckDB says about it."""


@dataclass(frozen=True)
class Run:
    """What every step of one run needs, and why days of it failed; `passing`: not for what their files are."""

    source: SourceSpec
    table: TableSpec
    settings: Settings
    stage: Stage
    connection: duckdb.DuckDBPyConnection
    offsets: Offsets = field(default_factory=Offsets)
    places: dict[str, str] = field(default_factory=dict)
    failed: dict[date, IngestionError] = field(default_factory=dict)
    passing: set[date] = field(default_factory=set)

    def fail(self, day: date | None, error: IngestionError) -> None:
        """A day cannot be published; where the file is of no single day, nothing can."""
        if day is None:
            raise error
        self.failed.setdefault(day, error)

    def left(self, days: Sequence[date]) -> list[date]:
        """The days that can still be published."""
        return [day for day in days if day not in self.failed]


def connect(settings: Settings, folder: Path) -> duckdb.DuckDBPyConnection:
    """A connection within the settings' bounds that spills to a folder."""
    connection = duckdb.connect()
    connection.execute(f"set memory_limit = {literal(settings.memory)}")
    connection.execute(f"set threads = {settings.threads}")
    connection.execute(f"set temp_directory = {literal(folder / 'spill')}")
    connection.execute("set timezone = 'UTC'")
    connection.execute("set enable_progress_bar = false")
    return connection


def open_files(run: Run, days: Sequence[date]) -> list[RawFile]:
    """Open the files of the days that have them whole; the others fail."""
    copies = run.stage.folder / "copies"
    copies.mkdir(exist_ok=True)
    found = _found(run, days)
    keys: tuple[str, ...] = ()
    if any(file.format in {"messages", "jsonl"} for file in found):
        always = ENVELOPE if run.table.format == "messages" else ()
        keys = keys_read(run.source, run.table, run.connection, always)
    opened: list[RawFile] = []
    checked: set[tuple[str, ...]] = set()
    for number, file in enumerate(found):
        try:
            raw = _open(run, file, keys, copies / f"{number:06d}.parquet")
            if raw.columns not in checked:
                Binder(run.source, run.table, raw.columns, file.path, run.connection).check()
        except IngestionError as error:
            run.fail(file.day, error)
        else:
            checked.add(raw.columns)
            opened.append(raw)
    return [raw for raw in opened if raw.file.day not in run.failed]


def _found(run: Run, days: Sequence[date]) -> list[SourceFile]:
    try:
        return source_files(run.table, run.settings, days)
    except IngestionError:  # of some of the days
        found: list[SourceFile] = []
        for day in days:
            try:
                found += source_files(run.table, run.settings, [day])
            except IngestionError as error:
                run.fail(day, error)
        return found


def _open(run: Run, file: SourceFile, keys: Sequence[str], copy: Path) -> RawFile:
    if file.format == "messages":
        return open_messages(file, keys, copy, run.connection)
    if file.format == "jsonl":
        return open_json_lines(file, Binder(run.source, run.table, keys, file.path, run.connection), copy)
    return open_raw(file, run.table, copy)


def execute(run: Run, files: Sequence[RawFile], sql: str) -> duckdb.DuckDBPyConnection:
    """Run SQL that reads raw files, and blame the file when one cannot be read to its end."""
    try:
        return run.connection.execute(sql)
    except duckdb.Error as error:
        why = str(error).splitlines()[0]
        for raw in files:
            try:
                run.connection.execute(f"select sum(hash(columns(*))) from {parquet(raw.parquet)}")
            except duckdb.Error as culprit:
                problem = f"the file cannot be read to its end ({str(culprit).splitlines()[0]})"
                raise IngestionError(problem, file=raw.file.path, remedy=DELIVER_AGAIN) from error
        where = f"tables.{run.table.name} in {run.source.name}.yaml"
        remedy = f"make the SQL of {where} safe (try_cast, not cast)"
        if NESTED.search(why):  # try_cast would make all of them null
            remedy = f"take single values out of nested ones in {where} (item ->> '$.sku'), and cast these"
        raise IngestionError(f"a row breaks the mapping's SQL: {why}", remedy=remedy) from error


def refusals(run: Run) -> tuple[Refusal, ...]:
    """The days that failed, with the files they have."""
    there, contract = files_there(run.table, run.settings, list(run.failed)), run.table.fingerprint
    return tuple(
        Refusal.of(day, error, there[day], contract, final=day not in run.passing)
        for day, error in sorted(run.failed.items())
    )
