"""Run the two jobs for the days that changed, ask the server, and say what came of it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

from rich.console import Console

from ml_assets.config.ingestion_error import IngestionError
from ml_assets.config.settings import PROJECT, Settings
from ml_assets.config.source_spec import SourceSpec, load_source
from ml_assets.demo.summary import MODEL, collect, show
from ml_assets.execution.runs import RunResult, execute_job, range_tags
from ml_assets.ingestion.days.ledger import changed_days
from ml_assets.registry.pointer import pointer_path
from ml_assets.storage.files import write_text_atomically

NOTHING_SERVES = "\n[bold red]Nothing serves[/]: the data did not pass their checks, or no candidate passed the gate."


def run_demo(settings: Settings) -> int:
    """Take the shop's raw events to a running server; 0 only when no check failed and the server answered."""
    console = Console(highlight=False)
    began = time.monotonic()
    try:
        source = load_source(settings.shop_file)
        first, last = demo_days(source)
        console.print(f"[bold]{source.name}[/]: {source.description}")
        console.print(f"{first} to {last}, everything under {settings.shop_home}\n")
        runs = list(_run_jobs(settings, source, first, last, console))
    except (IngestionError, FileNotFoundError) as error:
        console.print(f"[red]{error}[/]")
        return 1
    failed = [run for run in runs if not run.succeeded]
    if failed or not pointer_path(settings, MODEL).exists():
        _explain(console, failed or runs, settings)
        return 1
    summary = collect(settings, source, (first, last), runs, time.monotonic() - began)
    folder = settings.home / "demo"
    write_text_atomically(folder / "summary.json", summary.model_dump_json(indent=1) + "\n")
    show(console, summary, folder / "summary.json")
    return 0 if summary.ok else 1


def demo_days(source: SourceSpec) -> tuple[date, date]:
    """First and last day of the demo: the simulation's history, or the shop's calendar up to yesterday."""
    if source.simulation is not None:
        from ml_assets.simulation.spec import read_simulation

        return source.calendar.start, read_simulation(source.simulation).end
    return source.calendar.start, source.calendar.end or date.today() - timedelta(days=1)


def _run_jobs(settings: Settings, source: SourceSpec, first: date, last: date, console: Console) -> Iterator[RunResult]:
    """Run `ingest` over the days that changed and `train` on top of them."""
    ingested = ingest_changed(settings, source, (first, last), console)
    if ingested is not None:
        yield ingested
        if not ingested.succeeded or ingested.failed_checks:
            return
    log = settings.shop_home / "logs" / "train.log"
    console.print(f"[bold]train[/] as of {last} (log: {log})")
    yield execute_job("train", {"dagster/partition": str(last)}, log, console.print)


def ingest_changed(
    settings: Settings, source: SourceSpec, days: tuple[date, date], console: Console
) -> RunResult | None:
    """Run the job `ingest` from the first day that changed to the last; None when nothing changed since a good run.

    Raises:
        IngestionError: when a raw file is missing.
    """
    start = _first_changed_day(settings, source, *days)
    if start is None:
        console.print("ingest: no file, contract or dbt model changed since the last run")
        return None
    log = settings.shop_home / "logs" / "ingest.log"
    console.print(f"[bold]ingest[/] {start} to {days[1]} (log: {log})")
    result = execute_job("ingest", range_tags(str(start), str(days[1])), log, console.print)
    if result.succeeded and not result.failed_checks:
        write_text_atomically(_mark(settings), _code())
    return result


def _first_changed_day(settings: Settings, source: SourceSpec, first: date, last: date) -> date | None:
    """The first day to ingest again: features of every later day rest on it; None when all is current."""
    mark = _mark(settings)
    if not mark.exists() or mark.read_text() != _code():
        return first
    changed = [day for table in source.tables for day in changed_days(source, table, settings, first, last)]
    return min(changed, default=None)


def _mark(settings: Settings) -> Path:
    return settings.shop_home / "ingested.code"


def _code() -> str:
    """Hex SHA-256 over the files that what `ingest` makes depends on, besides the data."""
    digest = hashlib.sha256()
    for folder in ("dbt_project", "shops", "ml_assets/ingestion"):
        for path in sorted((PROJECT / folder).rglob("*")):
            if path.suffix in {".py", ".sql", ".yml", ".yaml"} and "target" not in path.parts:
                digest.update(str(path.relative_to(PROJECT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _explain(console: Console, failed: list[RunResult], settings: Settings) -> None:
    console.print("\n[bold red]The demo failed.[/]" if any(not run.succeeded for run in failed) else NOTHING_SERVES)
    for run in failed:
        for error in run.errors:
            console.print(f"[red]{error}[/]")
        for check in run.failed_checks:
            console.print(f"[red]check {check.name} on {check.asset}: {check.description}[/]")
    console.print(f"Full logs: {settings.shop_home / 'logs'}; the same in the UI: make ui")
