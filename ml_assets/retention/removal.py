"""Taking an entity out of files of the common forms; each leaves the file as it was or as it is to be."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO

from ml_assets.retention.aside import fewer_beside
from ml_assets.retention.rows import Drop, without
from ml_assets.retention.subject import Subject
from ml_assets.storage.files import sync

CHUNK = 16 * 1024 * 1024


def drop_rows(path: Path, drop: Drop) -> int:
    """Take rows out of a Parquet file; returns how many."""
    aside = fewer_beside(path)
    try:
        if removed := without(path, aside, drop):
            sync(aside)
            aside.replace(path)
            sync(path.parent)
        return removed
    finally:
        aside.unlink(missing_ok=True)


def masked(text: bytes, who: Subject) -> bytes:
    """A text with stars where the id stands; of the same length."""
    return who.pattern.sub(lambda found: _stars(found.group(), found.group("id")), text)


def _stars(whole: bytes, found: bytes) -> bytes:
    return whole[: len(whole) - len(found)] + b"*" * len(found)


def mask_text(path: Path, who: Subject) -> int:
    """Put stars over the id in a file of text, in place: whoever appends to it meanwhile goes on; returns how often."""
    count = 0
    with path.open("r+b", buffering=0) as opened:
        for at, block in _blocks(opened, len(who.id)):
            if who.id.encode() not in block and not who.pattern.search(block):
                continue
            for found in who.pattern.finditer(block):
                opened.seek(at + found.start("id"))
                opened.write(b"*" * len(found.group("id")))
                count += 1
        if count:
            os.fsync(opened.fileno())
    return count


def _blocks(opened: IO[bytes], longest: int) -> Iterator[tuple[int, bytes]]:
    """Blocks of a file with where they begin; each repeats the end of the one before, so that nothing is cut."""
    at, overlap = 0, 4 * longest + 256
    while block := os.pread(opened.fileno(), CHUNK + overlap, at):
        yield at, block
        at += CHUNK


def clean_database(path: Path, who: Subject) -> int:
    """Take the entity out of a sqlite file: rows that are its own go, other texts and blobs get stars over the id.

    What was deleted is overwritten, also in the file's free pages and its log.
    """
    with closing(sqlite3.connect(path, timeout=60)) as database:
        database.execute("pragma secure_delete = on")
        database.create_function("masked", 1, lambda value: _masked(value, who), deterministic=True)
        with database:
            count = sum(_clean_table(database, table, columns, who) for table, columns in _tables(database))
        if count:
            database.execute("vacuum")
        if count or path.with_name(f"{path.name}-wal").exists():
            database.execute("pragma wal_checkpoint(truncate)")
    return count


def find_in_database(path: Path, who: Subject) -> int:
    """Rows of a sqlite file that are the entity's own."""
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=60)) as database:
        asked = [(table, own) for table, columns in _tables(database) if (own := _own(columns, who))]
        counts = (
            database.execute(f"select count(*) from {_quote(table)} where {own}", [who.id]) for table, own in asked
        )
        return sum(int(count.fetchone()[0]) for count in counts)


def _tables(database: sqlite3.Connection) -> list[tuple[str, list[str]]]:
    """Every table with its columns."""
    sql = "select name from sqlite_master where type = 'table' and name not like 'sqlite_%'"
    named = [name for (name,) in database.execute(sql).fetchall()]
    return [(name, [row[1] for row in database.execute(f"pragma table_info({_quote(name)})")]) for name in named]


def _own(columns: list[str], who: Subject) -> str:
    """Which rows are the entity's own; empty where no column says it."""
    return " or ".join(f"cast({_quote(name)} as text) = ?1" for name in columns if name in who.names)


def _clean_table(database: sqlite3.Connection, table: str, columns: list[str], who: Subject) -> int:
    count = 0
    if own := _own(columns, who):
        count += database.execute(f"delete from {_quote(table)} where {own}", [who.id]).rowcount
    for column in (_quote(name) for name in columns if name not in who.names):
        sql = (
            f"update {_quote(table)} set {column} = masked({column}) where typeof({column}) in ('text', 'blob') "
            f"and instr(cast({column} as blob), cast(?1 as blob)) > 0 and masked({column}) is not {column}"
        )
        count += database.execute(sql, [who.id]).rowcount
    return count


def _masked(value: str | bytes, who: Subject) -> str | bytes:
    return masked(value.encode(), who).decode() if isinstance(value, str) else masked(value, who)


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
