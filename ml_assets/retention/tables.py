"""Days of raw tables with fewer rows: swapped in as ingestion does it, and counted in the ledger by why they went."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq

from ml_assets.ingestion.days.ledger import LedgerEntry, ledger_path, read_ledger
from ml_assets.ingestion.publish import Stage, part, stage
from ml_assets.retention.rows import Drop, none, without
from ml_assets.storage.files import sha256_file

GOOD, QUARANTINE = "", "_quarantine"
"""What a part's table is called beside the table's own name."""


def remove_rows(
    lake: Path,
    table: str,
    days: Iterable[date],
    drop: Mapping[str, Drop],
    *,
    why: str,
    rewritten: Mapping[str, str] | None = None,
) -> dict[date, int]:
    """Take rows out of published days; a run that is killed leaves a day as it was or as it is to be.

    Args:
        lake: the lake.
        table: which table.
        days: of these.
        drop: which rows of a batch go, of GOOD, of QUARANTINE, or of both.
        why: what the ledger calls it.
        rewritten: new hashes of raw files that lost rows as well, by the old ones.

    Returns:
        Rows that went, by day; days that lost none are left out.
    """
    entries = read_ledger(lake, table)
    gone: dict[date, int] = {}
    with stage(lake, table) as staged:
        changed = []
        for day in (day for day in days if day in entries):
            removed = {end: _without(staged, f"{table}{end}", day, drop.get(end, none)) for end in (GOOD, QUARANTINE)}
            known = {label: (rewritten or {}).get(sha256, sha256) for label, sha256 in entries[day].sources.items()}
            if any(removed.values()) or known != entries[day].sources:
                changed.append(_less(staged, table, replace(entries[day], sources=known), removed, why))
            if any(removed.values()):
                gone[day] = sum(removed.values())
        if changed:
            staged.publish(ledger_path(lake, table), "".join(f"{entry.to_json()}\n" for entry in changed))
    return gone


def _without(staged: Stage, name: str, day: date, drop: Drop) -> int:
    """Set aside a part without some of its rows, if it has any of them; returns how many."""
    source, aside = part(staged.lake, name, day), staged.folder / "fewer.parquet"
    if not source.exists():
        return 0
    removed = without(source, aside, drop)
    if removed:
        aside.rename(staged.aside(name, day))
    return removed


def _less(staged: Stage, table: str, entry: LedgerEntry, removed: Mapping[str, int], why: str) -> LedgerEntry:
    """The day's entry with what is left."""
    report, hashes = entry.report, {GOOD: entry.published, QUARANTINE: entry.quarantined}
    for end in (end for end, count in removed.items() if count):
        hashes[end] = sha256_file(part(staged.folder, f"{table}{end}", entry.day))
    reasons = report.reasons
    if removed[QUARANTINE]:
        left = pq.read_table(part(staged.folder, f"{table}{QUARANTINE}", entry.day), columns=["reason"])
        reasons = json.loads(json.dumps(Counter(left["reason"].to_pylist()), sort_keys=True))
    total = Counter(report.rows_removed) + Counter({why: sum(removed.values())})
    less = replace(
        report,
        rows_good=report.rows_good - removed[GOOD],
        rows_quarantined=report.rows_quarantined - removed[QUARANTINE],
        reasons=reasons,
        rows_removed=dict(total),
    )
    was = entry.was or (entry.published if removed[GOOD] else "")
    return replace(entry, published=hashes[GOOD], quarantined=hashes[QUARANTINE], report=less, was=was)
