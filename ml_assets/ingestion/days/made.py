"""What the dbt models of a source were made of: each day rests on all raw days up to it, and is stale once one changes.

`<home>/made/<source>.jsonl`, append-only; a day's last entry is the truth. It says nothing of days before the first one
that was noted, and goes when the warehouse goes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from ml_assets.config.settings import PROJECT, Settings
from ml_assets.config.source_spec import SourceSpec
from ml_assets.ingestion.days.ledger import days_between, read_ledger
from ml_assets.ingestion.swap import append

PRUNED = "pruned"
"""What the ledger calls rows that went by their age."""
UNDER_WAY = ""
"""Noted of a day before its rows are replaced: what a killed or failed build leaves of it is not to be relied on."""


def newest_day(source: SourceSpec, settings: Settings) -> date | None:
    """The newest day that every raw table of the source has in the lake."""
    newest = [max(read_ledger(settings.lake, table), default=None) for table in source.tables]
    known = [day for day in newest if day is not None]
    return min(known) if len(known) == len(newest) else None


def every_day(source: SourceSpec, settings: Settings) -> tuple[date, date]:
    """The first and the newest day of the lake: a table that is made anew is made of these.

    Raises:
        ValueError: when a raw table has no day yet, or rows were pruned: the new table would lack what the old one has.
    """
    newest, ledgers = newest_day(source, settings), [read_ledger(settings.lake, table) for table in source.tables]
    if newest is None:
        raise ValueError(f"{source.name} has no published day in {settings.lake}: ingest some days first")
    pruned = [
        day for ledger in ledgers for day, each in ledger.items() if each.was and PRUNED in each.report.rows_removed
    ]
    if pruned:
        raise ValueError(
            f"raw rows of {source.name} up to {max(pruned)} were pruned (ML_ASSETS_KEEP): tables made anew would lack "
            "what the old ones know of them; ingest those days again first"
        )
    return min(min(ledger) for ledger in ledgers), newest


@dataclass(frozen=True)
class Buildable:
    """The days of a run that dbt builds: none after the newest of the lake; gaps before it are built as empty days.

    Attributes:
        all: the days, in order.
        gaps: raw table -> days it never had.
    """

    all: Sequence[date]
    gaps: dict[str, list[str]]

    @property
    def there(self) -> list[date]:
        """The days that every raw table has."""
        lacking = {day for days in self.gaps.values() for day in days}
        return [day for day in self.all if str(day) not in lacking]


def buildable(source: SourceSpec, settings: Settings, start: date, end: date) -> Buildable:
    """What dbt can build of the inclusive range; all of it where the lake ends before, for its tests to say so."""
    newest = newest_day(source, settings)
    if newest is None or newest < start:
        return Buildable(days_between(start, end), {})
    days = days_between(start, min(end, newest))
    ledgers = {table: read_ledger(settings.lake, table) for table in source.tables}
    return Buildable(days, {table: [str(day) for day in days if day not in known] for table, known in ledgers.items()})


def made_of(source: SourceSpec, settings: Settings) -> dict[date, str]:
    """For each day up to the newest: a hash of the good rows of all raw days up to it, as they came in."""
    newest, published = newest_day(source, settings), defaultdict[date, list[str]](list)
    for table in sorted(source.tables):
        for day, entry in read_ledger(settings.lake, table).items():
            published[day].append(f"{table} {day} {entry.was or entry.published}\n")
    if newest is None:
        return {}
    digest, found = hashlib.sha256(), {}
    for day in days_between(min(published), newest):
        digest.update("".join(published.get(day, ())).encode())
        found[day] = digest.hexdigest()[:16]
    return found


def note(
    source: SourceSpec, settings: Settings, models: Collection[str], days: Sequence[date], of: Mapping[date, str]
) -> None:
    """Note of what (see `made_of`) these models have these days from now on."""
    path = _path(settings, source.name)
    if not settings.warehouse.exists():
        shutil.rmtree(path.parent, ignore_errors=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    made = {str(day): of.get(day, UNDER_WAY) for day in days}
    append(path, json.dumps({"models": sorted(models), "made": made}) + "\n")


def stale_days(source: SourceSpec, settings: Settings) -> dict[str, list[date]]:
    """The days of each dbt model that were made of other raw days than the lake has now, or not made since."""
    now, made = made_of(source, settings), defaultdict[str, dict[str, str]](dict)
    path, known = _path(settings, source.name), _models()
    for line in path.read_text().splitlines() if path.exists() and settings.warehouse.exists() else ():
        try:
            said = json.loads(line)
            for model in known.intersection(said["models"]):
                made[model] |= said["made"]
        except (ValueError, KeyError, TypeError):  # torn by a kill
            continue
    return {
        model: [day for day, of in now.items() if str(day) >= min(days) and days.get(str(day)) != of]
        for model, days in sorted(made.items())
    }


def _models() -> set[str]:
    return {path.stem for path in (PROJECT / "dbt_project" / "models").rglob("*.sql")}


def _path(settings: Settings, source: str) -> Path:
    return settings.shop_home / "made" / f"{source}.jsonl"
