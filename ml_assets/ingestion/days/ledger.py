"""The ledger: for each table and day, which files it was made from and what became of their rows.

`<lake>/_ledger/<table>.jsonl`, append-only; a day's last entry is the truth. A line a killed run left torn is
skipped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from pathlib import Path

from ml_assets.config.ingestion_error import IngestionError
from ml_assets.config.settings import Settings
from ml_assets.config.source_spec import SourceSpec, TableSpec
from ml_assets.ingestion.connectors.addresses import kept_days, source_files
from ml_assets.ingestion.connectors.landed import Stamp, remembered_sha256
from ml_assets.ingestion.days.report import DayReport, IngestReport
from ml_assets.ingestion.publish import part


@dataclass(frozen=True)
class LedgerEntry:
    """One published day.

    Attributes:
        day: the partition.
        sources: raw file label -> hex SHA-256 of its bytes.
        contract: fingerprint of the table's spec.
        published: hex SHA-256 of the published good rows.
        report: rows in, good and quarantined by reason.
        quarantined: hex SHA-256 of the published quarantine ("": not noted, as before that was done).
        stamps: raw file label -> its stamp when it was read; a file that still has it is not hashed again.
        written: size and modification time of the published good rows and quarantine.
        was: hex SHA-256 of the good rows before some were pruned or erased; features were made of these ("": none).
    """

    day: date
    sources: dict[str, str]
    contract: str
    published: str
    report: DayReport
    quarantined: str = ""
    stamps: Mapping[str, Stamp] = field(default_factory=dict)
    written: Sequence[Stamp] = ()
    was: str = ""

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self), default=str, sort_keys=True)

    @classmethod
    def from_json(cls, line: str) -> LedgerEntry:
        """Read one line back."""
        content = json.loads(line)
        report = content["report"] | {"day": date.fromisoformat(content["report"]["day"])}
        stamps = {label: tuple(stamp) for label, stamp in content.get("stamps", {}).items()}
        written = tuple(map(tuple, content.get("written", ())))
        read = {"day": date.fromisoformat(content["day"]), "report": DayReport(**report)}
        return cls(**content | read | {"stamps": stamps, "written": written})


def ledger_path(lake: Path, table: str) -> Path:
    """Where a table's ledger is."""
    return lake / "_ledger" / f"{table}.jsonl"


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
    """The report of the days of an inclusive range that were ingested, for checks that run apart from the ingestion.

    Raises:
        IngestionError: when none of them ever was.
    """
    entries = read_ledger(lake, table)
    found = tuple(entry.report for day, entry in entries.items() if start <= day <= end)
    if not found:
        problem = f"no day of {table} from {start} to {end} was ever ingested"
        raise IngestionError(problem, file=ledger_path(lake, table), remedy=f"ingest {start} to {end}")
    return IngestReport(table, found)


def changed_days(source: SourceSpec, table: str, settings: Settings, start: date, end: date) -> list[date]:
    """Days of the inclusive range to ingest: new, or raw file, contract or published part changed.

    A day whose landed files were pruned is never among them. In a shop of one file for all days, a changed file
    changes them all.

    Raises:
        IngestionError: when a day has no raw file.
    """
    spec = source.table(table)
    days = kept_days(spec, settings, days_between(start, end))
    if not days:
        return []
    entries = read_ledger(settings.lake, table)
    hashes = [(file, remembered_sha256(file.path)) for file in source_files(spec, settings, days)]
    return [
        day
        for day in days
        if not _is_current(
            entries.get(day),
            {file.label: sha256 for file, sha256 in hashes if file.day in {None, day}},
            spec,
            settings.lake,
        )
    ]


def _is_current(entry: LedgerEntry | None, sources: dict[str, str], table: TableSpec, lake: Path) -> bool:
    if entry is None or entry.sources != sources or entry.contract != table.fingerprint:
        return False
    return all(
        path.exists() and noted in {"", remembered_sha256(path)}
        for path, noted in (
            (part(lake, table.name, entry.day), entry.published),
            (part(lake, f"{table.name}_quarantine", entry.day), entry.quarantined),
        )
    )


def days_between(start: date, end: date) -> Sequence[date]:
    """Every day from `start` to `end`, both included."""
    return [start + timedelta(days=n) for n in range((end - start).days + 1)]
