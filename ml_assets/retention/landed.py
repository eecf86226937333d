"""Taking an entity's rows out of raw files in the landing folder, and telling the journal what they are now."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from ml_assets.config.settings import Settings
from ml_assets.config.source_spec import TableSpec
from ml_assets.ingestion.connectors.land import journal_of
from ml_assets.retention.aside import fewer_beside
from ml_assets.retention.rows import without
from ml_assets.retention.subject import Subject
from ml_assets.storage.files import sha256_file, sync

LINES = {".jsonl", ".ndjson", ".json"}
PARQUET = {".parquet", ".pq"}
TEXT = {"errors": "surrogateescape", "newline": ""}
"""How text is read and written so that every byte stays."""


def named_in(table: TableSpec, who: Subject) -> Subject:
    """The entity with the names that the table's raw files may hold it under."""
    column = table.columns.get(who.entity)
    return who if column is None else replace(who, names=who.names | set(re.findall(r"\w+", column.source)))


def raw_files(settings: Settings, table: TableSpec) -> list[Path]:
    """Files of the table in the landing folder, wherever its address says that is; superseded ones too."""
    _, ours, rest = table.address.partition("{landing}/")
    folders = {settings.landing / table.name, *([settings.landing / Path(rest).parts[0]] if ours else [])}
    found = {path for folder in folders for path in folder.rglob("*") if path.suffix in {*PARQUET, *LINES, ".csv"}}
    return sorted(path for path in found if path.is_file() and not path.name.startswith("."))


def clean_landed(settings: Settings, table: TableSpec, who: Subject) -> tuple[int, dict[str, str]]:
    """Take the entity's rows out; returns how many, and the new hash of each file by its old one.

    The journal is told before a file takes its place: killed in between, the next run writes the same file again.
    """
    journal, ours = journal_of(settings, table), named_in(table, who)
    rows, hashes = 0, dict[str, str]()
    with journal.writing() if table.source is not None and journal.folder.exists() else nullcontext():
        for path in raw_files(settings, table):
            aside = fewer_beside(path)
            try:
                removed, left = fewer(path, aside, table, ours)
                if not removed:
                    continue
                sync(aside)
                before, after = sha256_file(path), sha256_file(aside)
                if table.source is not None and path.parent.parent == journal.folder:
                    journal.rewritten(path, left, after)
                aside.replace(path)
                sync(path.parent)
            finally:
                aside.unlink(missing_ok=True)
            rows, hashes = rows + removed, {**hashes, before: after}
    return rows, hashes


def fewer(path: Path, aside: Path, table: TableSpec, who: Subject) -> tuple[int, int]:
    """Write a raw file without the entity's rows; returns how many went and how many (or lines) are left."""
    if path.suffix in PARQUET:
        import pyarrow.parquet as pq

        removed = without(path, aside, who.rows)
        return removed, pq.read_metadata(aside).num_rows if removed else 0
    records = _json_lines if path.suffix in LINES else _csv_records
    with path.open(encoding=table.encoding, **TEXT) as read, aside.open("w", encoding=table.encoding, **TEXT) as write:  # type: ignore[call-overload]
        removed = left = 0
        for raw, theirs in records(read, table, who):
            removed, left = removed + theirs, left + (not theirs)
            if not theirs:
                write.write(raw)
    return removed, left


def _json_lines(lines: Iterator[str], table: TableSpec, who: Subject) -> Iterator[tuple[str, bool]]:
    for line in lines:
        yield line, who.id in line and (who.within(_bytes(line)) or _said(line, who))


def _said(line: str, who: Subject) -> bool:
    try:
        content = json.loads(line)
    except ValueError:
        return False
    return isinstance(content, dict) and any(str(content.get(name)) == who.id for name in who.names)


def _csv_records(lines: Iterator[str], table: TableSpec, who: Subject) -> Iterator[tuple[str, bool]]:
    """Records with their lines; where quotes are odd, lines are judged one by one, so that none goes with another."""
    held: list[str] = []
    reader = csv.reader(_held(lines, held.append), delimiter=table.delimiter)
    header: list[str] | None = None
    for record in reader:
        raw, held[:] = list(held), []
        if header is None:
            header = [name.strip() for name in record]
            yield "".join(raw), False
            continue
        if len(raw) > 1 and len(record) != len(header):
            yield from ((line, who.within(_bytes(line))) for line in raw)
            continue
        own = any(name in who.names and cell.strip() == who.id for name, cell in zip(header, record, strict=False))
        yield "".join(raw), own or (who.telling and who.within(_bytes("".join(raw))))
    if held:
        yield "".join(held), who.within(_bytes("".join(held)))


def _held(lines: Iterator[str], hold: Callable[[str], None]) -> Iterator[str]:
    for line in lines:
        hold(line)
        yield line


def _bytes(text: str) -> bytes:
    return text.encode("utf8", "surrogateescape")
