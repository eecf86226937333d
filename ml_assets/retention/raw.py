"""Raw data that is old enough to go: rows of published days, quarantined rows, landed files."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

from ml_assets.config.settings import SHOP, Settings
from ml_assets.config.source_spec import SourceSpec, TableSpec
from ml_assets.config.sources import source_of, sources_beside
from ml_assets.ingestion.connectors.land import journal_of
from ml_assets.ingestion.days.ledger import read_ledger
from ml_assets.ingestion.days.made import PRUNED
from ml_assets.ingestion.publish import part
from ml_assets.retention.aside import size_of, take_away
from ml_assets.retention.rows import every
from ml_assets.retention.tables import remove_rows

WHY = PRUNED


def tables(settings: Settings) -> Iterator[tuple[SourceSpec, TableSpec]]:
    """Every raw table of the deployment."""
    for name in (SHOP, *sources_beside()):
        source = source_of(name, settings)
        for table in source.tables.values():
            yield source, table


def old_days(settings: Settings, table: TableSpec, end: str, before: datetime) -> list[date]:
    """Days of good rows or of quarantine that are over, were published before, and have rows; the newest stays.

    So what a load of old history has set aside is kept as long as what came yesterday.
    """
    entries = read_ledger(settings.lake, table.name)
    newest = max(entries, default=None)
    rows = {day: each.report.rows_quarantined if end else each.report.rows_good for day, each in entries.items()}
    found = [day for day, count in rows.items() if count and day < before.date() and day != newest]
    return [day for day in found if _written(part(settings.lake, f"{table.name}{end}", day)) < before.timestamp()]


def _written(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else math.inf


def size_of_days(settings: Settings, table: TableSpec, end: str, days: list[date]) -> int:
    """Bytes of the parts."""
    return sum(size_of(part(settings.lake, f"{table.name}{end}", day)) for day in days)


def empty_days(settings: Settings, table: TableSpec, end: str, days: list[date]) -> None:
    """Take all rows out of these days' parts."""
    remove_rows(settings.lake, table.name, days, {end: every}, why=WHY)


def looked_up(source: SourceSpec, table: TableSpec) -> bool:
    """Whether other tables look its old rows up: they would find nothing known any more."""
    return any(table.name in other.upstream for other in source.tables.values())


def old_landings(settings: Settings, table: TableSpec, before: datetime) -> list[Path]:
    """Folders of landed days that were ingested and are over, first to last without a gap; the newest stays."""
    if table.source is None or not journal_of(settings, table).folder.exists():
        return []
    ingested = read_ledger(settings.lake, table.name)
    journal, newest = journal_of(settings, table), max(ingested, default=None)
    found = []
    for path in journal.day_folders(before.date()):
        day = date.fromisoformat(path.name)
        if day not in ingested or day == newest or _written(path) >= before.timestamp():
            break
        found.append(path)
    return found


def prune_landings(settings: Settings, table: TableSpec, before: datetime) -> None:
    """Note in the journal up to which day files are gone, then take them away."""
    journal = journal_of(settings, table)
    with journal.writing():
        if found := old_landings(settings, table, before):
            take_away(settings, journal.prune(date.fromisoformat(found[-1].name)))
