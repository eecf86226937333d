"""How each day of a table stands: in the lake as its files are, arrived or corrected since, missing, or failed.

Files and parts that still have the size and time that the ledger noted are not read, so that all days can be looked at
every time: a correction of any age is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum, auto
from pathlib import Path

from ml_assets.config.ingestion_error import IngestionError
from ml_assets.config.settings import Settings
from ml_assets.config.source_spec import SourceSpec, TableSpec
from ml_assets.ingestion.connectors.addresses import files_there, incomplete
from ml_assets.ingestion.connectors.landed import Stamp, stamp_of
from ml_assets.ingestion.days.ledger import LedgerEntry, changed_days, read_ledger
from ml_assets.ingestion.days.refusals import read_refusals, stamps_of
from ml_assets.ingestion.publish import part


class State(Enum):
    """What is to be done about a day of a table."""

    CURRENT = auto()  # nothing: it is in the lake
    ARRIVED = auto()  # ingest it: it is new, or its files or its contract are others now
    MISSING = auto()  # wait for its files
    FAILED = auto()  # wait for other files: these were refused


@dataclass(frozen=True)
class Standing:
    """One day of a table; `text` says of a failed one why. `stamps`: of the files that lie there."""

    state: State
    stamps: dict[str, Stamp]
    text: str = ""


def standings(source: SourceSpec, table: str, settings: Settings, days: Sequence[date]) -> dict[date, Standing]:
    """How these days of a table stand, in order.

    Raises:
        IngestionError: when the table's address cannot be read.
    """
    spec = source.table(table)
    entries, refusals = read_ledger(settings.lake, table), read_refusals(settings.lake, table)
    waiting = set(days) if spec.source is None else set(incomplete(spec, settings, days))
    found: dict[date, Standing] = {}
    for day, files in files_there(spec, settings, days).items():
        entry, refusal, stamps = entries.get(day), refusals.get(day), stamps_of(files)
        if entry is not None and _untouched(entry, stamps, spec, settings.lake):
            found[day] = Standing(State.CURRENT, stamps)
        elif refusal is not None and refusal.holds(files, spec.fingerprint):
            found[day] = Standing(State.FAILED, stamps, refusal.text)
        elif not files and day in waiting:  # a file that was put away after it was ingested is not missed
            there = entry is not None and part(settings.lake, table, day).exists()
            found[day] = Standing(State.CURRENT if there else State.MISSING, stamps)
        else:
            found[day] = _looked_into(source, table, settings, day, stamps)
    return found


def _untouched(entry: LedgerEntry, stamps: dict[str, Stamp], table: TableSpec, lake: Path) -> bool:
    """Whether files, parts and contract are as the ledger noted them, by size and time."""
    parts = [part(lake, name, entry.day) for name in (table.name, f"{table.name}_quarantine")]
    return (
        entry.contract == table.fingerprint
        and entry.stamps == stamps
        and all(path.exists() for path in parts)
        and entry.written == tuple(stamp_of(path)[:2] for path in parts)
    )


def _looked_into(source: SourceSpec, table: str, settings: Settings, day: date, stamps: dict[str, Stamp]) -> Standing:
    try:
        changed = changed_days(source, table, settings, day, day)
    except IngestionError as error:
        return Standing(State.FAILED if stamps else State.MISSING, stamps, error.line)
    return Standing(State.ARRIVED if changed else State.CURRENT, stamps)
