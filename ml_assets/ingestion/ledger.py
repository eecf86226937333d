"""The ledger: for each table and day, which files it was made from and what became of their rows.

`<lake>/_ledger/<table>.jsonl`, append-only; a day's last entry is the truth. A line a killed run left torn is
skipped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path

from ml_assets.files import sha256_file
from ml_assets.ingestion.addresses import source_files, stamp_of
from ml_assets.ingestion.errors import IngestionError
from ml_assets.ingestion.publish import part
from ml_assets.ingestion.report import DayReport, IngestReport
from ml_assets.ingestion.spec import SourceSpec, TableSpec
from ml_assets.settings import Settings


@dataclass(frozen=True)
class LedgerEntry:
    """One published day.

    Attributes:
        day: the partition.
        sources: raw file label -> hex SHA-256 of its bytes.
        contract: fingerprint of the table's spec.
        published: hex SHA-256 of the published good rows.
        report: rows in, good and quarantined by reason.
    """

    day: date
    sources: dict[str, str]
    contract: str
    published: str
    report: DayReport

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self), default=str, sort_keys=True)

    @classmethod
    def from_json(cls, line: str) -> LedgerEntry:
        """Read one line back."""
        content = json.loads(line)
        report = content["report"] | {"day": date.fromisoformat(content["report"]["day"])}
        return cls(**content | {"day": date.fromisoformat(content["day"]), "report": DayReport(**report)})


def ledger_path(lake: Path, table: str) -> Path:
    """Where a table's ledger is."""
    return lake / "_ledger" / f"{table}.jsonl"


def append_entries(lake: Path, table: str, entries: Iterable[LedgerEntry]) -> None:
    """Add entries in one write, on a line of their own even after a torn one."""
    path = ledger_path(lake, table)
    path.parent.mkdir(parents=True, exist_ok=True)
    torn = path.exists() and path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")
    with path.open("a") as opened:
        opened.write(("\n" if torn else "") + "".join(f"{entry.to_json()}\n" for entry in entries))
        opened.flush()
        os.fsync(opened.fileno())


def read_ledger(lake: Path, table: str) -> dict[date, LedgerEntry]:
    """The newest entry of each day, in the order of days."""
    path = ledger_path(lake, table)
    entries: dict[date, LedgerEntry] = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            entry = LedgerEntry.from_json(line)
        except (ValueError, KeyError, TypeError):
            continue
        entries[entry.day] = entry
    return dict(sorted(entries.items()))


def read_report(lake: Path, table: str, start: date, end: date) -> IngestReport:
    """The report of days ingested before (inclusive range), for checks that run apart from the ingestion.

    Raises:
        IngestionError: when a day of the range was never ingested.
    """
    entries = read_ledger(lake, table)
    missing = [day for day in days_between(start, end) if day not in entries]
    if missing:
        problem = f"{table} of {missing[0]} was never ingested"
        raise IngestionError(problem, file=ledger_path(lake, table), remedy=f"ingest {missing[0]} to {missing[-1]}")
    return IngestReport(table, tuple(entries[day].report for day in days_between(start, end)))


def changed_days(source: SourceSpec, table: str, settings: Settings, start: date, end: date) -> list[date]:
    """Days of the inclusive range to ingest: new, or raw file or contract changed, or the part is gone.

    In a shop of one file for all days, a changed file changes them all.

    Raises:
        IngestionError: when a day has no raw file.
    """
    spec = source.table(table)
    days = days_between(start, end)
    entries = read_ledger(settings.lake, table)
    hashes = [(file, _sha256(file.path, stamp_of(file.path))) for file in source_files(spec, settings, days)]
    return [
        day
        for day in days
        if not _is_current(
            entries.get(day),
            {file.label: sha256 for file, sha256 in hashes if file.day in {None, day}},
            spec,
            part(settings.lake, table, day),
        )
    ]


@lru_cache(maxsize=50_000)
def _sha256(path: Path, stamp: tuple[int, int]) -> str:
    """Of a file's bytes; not computed again while its size and time are the same, since sensors ask all day."""
    return sha256_file(path)


def _is_current(entry: LedgerEntry | None, sources: dict[str, str], table: TableSpec, published: Path) -> bool:
    if entry is None or not published.exists():
        return False
    return entry.sources == sources and entry.contract == table.fingerprint


def days_between(start: date, end: date) -> Sequence[date]:
    """Every day from `start` to `end`, both included."""
    return [start + timedelta(days=n) for n in range((end - start).days + 1)]
