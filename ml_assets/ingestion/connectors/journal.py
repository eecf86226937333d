"""The journal of a table's landings: one sqlite transaction says what landed and from where to go on.

A piece is written aside, noted together with the position after it, then its files are put in their places. What a
kill leaves is either not noted (thrown away, read again) or noted (put in place by the next landing), so that every
offset, key and object lands exactly once.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from ml_assets.storage.file_lock import file_lock
from ml_assets.storage.files import replace_file, sha256_file, sync

SCHEMA = """
create table pieces (seq integer primary key, note text not null, rows integer not null);
create table files (
    seq integer not null references pieces, day text not null, name text not null, rows integer not null,
    sha256 text not null, span text not null, staged text not null, placed integer not null default 0
);
create index files_to_place on files (placed) where placed = 0;
create index files_by_seq on files (seq);
create table position (name text primary key, value text not null);
create table facts (name text primary key, value text not null);
"""
STAGING, SUPERSEDED = ".staging", ".superseded"
PRUNED_TO = "pruned_to"


@dataclass(frozen=True)
class StagedFile:
    """A file that waits for being noted.

    Attributes:
        path: where it is now, in the staging folder.
        day: the day its rows belong to.
        name: its name in the day's folder; a file of that name there is superseded.
        rows: how many; -1 where they are not counted.
        span: what it holds (first and last offset, cursor values, object version), as JSON can say it.
    """

    path: Path
    day: date
    name: str
    rows: int
    span: Mapping[str, Any]


@dataclass(frozen=True)
class Batch:
    """What lands in one step: files, the parts of the position that change, and what people should know of it."""

    files: tuple[StagedFile, ...]
    position: Mapping[str, str]
    note: str = ""
    rows: int = 0


@dataclass
class Journal:
    """The journal in a table's landing folder; reading works without a landing ever having happened."""

    folder: Path
    _path: Path = field(init=False)

    def __post_init__(self) -> None:
        self._path = self.folder / "journal.db"

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Let one process land at a time, with an empty staging folder; finish what a killed one noted."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with file_lock(self.folder / ".lock"):
            if not self._path.exists():
                with replace_file(self._path) as aside, closing(sqlite3.connect(aside)) as database:
                    database.executescript(SCHEMA)
            self._place()
            shutil.rmtree(self.staging, ignore_errors=True)
            self.staging.mkdir()
            yield
            shutil.rmtree(self.staging, ignore_errors=True)

    @property
    def staging(self) -> Path:
        """Folder for the files of the piece under way."""
        return self.folder / STAGING

    def commit(self, piece: Batch) -> None:
        """Note a piece and the position after it in one transaction, then put its files in their places."""
        for file in piece.files:
            sync(file.path)
        sync(self.staging)
        with self._open() as database:
            seq = self._last(database) + 1
            database.execute("insert into pieces values (?, ?, ?)", (seq, piece.note, piece.rows))
            database.executemany(
                "insert into files (seq, day, name, rows, sha256, span, staged) values (?, ?, ?, ?, ?, ?, ?)",
                [
                    (seq, file.day.isoformat(), file.name, file.rows, sha256_file(file.path),
                     json.dumps(file.span, sort_keys=True), file.path.name)
                    for file in piece.files
                ],
            )  # fmt: skip
            changed = piece.position.items()
            database.executemany("insert or replace into position values (?, ?)", changed)
        self._place()

    def _place(self) -> None:
        """Put noted files in their places; what is there already stays, what they supersede is kept aside."""
        with self._open() as database:
            waiting = database.execute("select rowid, seq, day, name, staged from files where placed = 0").fetchall()
        for _, seq, day, name, staged in waiting:
            aside, target = self.staging / staged, self.folder / day / name
            if not aside.exists():  # renamed before the kill
                continue
            if not target.parent.exists():
                target.parent.mkdir()
                sync(self.folder)
            if target.exists():
                old = self.folder / SUPERSEDED / day / f"{seq:08d}-{name}"
                old.parent.mkdir(parents=True, exist_ok=True)
                old.unlink(missing_ok=True)
                os.link(target, old)
                sync(old.parent)
            aside.replace(target)
            sync(target.parent)
        with self._open() as database:
            database.executemany("update files set placed = 1 where rowid = ?", [(each[0],) for each in waiting])

    def note_facts(self, **facts: str) -> None:
        """Remember what was true when the landing had taken everything."""
        with self._open() as database:
            database.executemany("insert or replace into facts values (?, ?)", facts.items())

    def fact(self, name: str) -> str | None:
        """A remembered fact."""
        return next((value for (value,) in self._read("select value from facts where name = ?", name)), None)

    @property
    def complete_to(self) -> date | None:
        """The last day of which everything had arrived and was landed; a day up to it without files had no rows."""
        found = self.fact("complete_to")
        return None if found is None else date.fromisoformat(found)

    @property
    def pruned_to(self) -> date | None:
        """The last day whose landed files were removed on purpose, with those of every day before."""
        found = self.fact(PRUNED_TO)
        return None if found is None else date.fromisoformat(found)

    def prune(self, until: date) -> list[Path]:
        """Note that the files of days up to `until` are gone on purpose, and return their folders, to be removed.

        Killed before they are, the next call returns them again. The caller holds the journal (`writing`).
        """
        if self.pruned_to is None or until > self.pruned_to:
            self.note_facts(**{PRUNED_TO: until.isoformat()})
        return self.day_folders(until)

    def day_folders(self, until: date) -> list[Path]:
        """Folders of landed and superseded files of days up to `until`, by day."""
        found = [path for root in (self.folder, self.folder / SUPERSEDED) for path in root.glob("????-??-??")]
        return sorted((path for path in found if path.name <= until.isoformat()), key=lambda path: path.name)

    def rewritten(self, path: Path, rows: int, sha256: str) -> None:
        """Note that rows were taken out of a landed file, which has this hash now."""
        with self._open() as database:
            database.execute(
                "update files set sha256 = ?, rows = case when rows < 0 then rows else ? end where rowid = "
                "(select rowid from files where day = ? and name = ? and placed = 1 order by seq desc, rowid desc)",
                (sha256, rows, path.parent.name, path.name),
            )

    def position(self) -> dict[str, str]:
        """From where to go on."""
        return dict(self._read("select name, value from position"))

    def at(self, name: str) -> str | None:
        """One part of the position."""
        return next((value for (value,) in self._read("select value from position where name = ?", name)), None)

    def last(self) -> int:
        """Number of the newest piece; 0 before the first."""
        return next((seq for (seq,) in self._read("select coalesce(max(seq), 0) from pieces")), 0)

    def days_since(self, seq: int) -> list[date]:
        """Days that got files in pieces after that number, in order."""
        found = self._read("select distinct day from files where seq > ? order by day", seq)
        return [date.fromisoformat(day) for (day,) in found]

    def landed(self, days: Sequence[date]) -> dict[tuple[str, str], set[str]]:
        """Day and name of every file that is in its place, with the SHA-256 it may have; two while it is superseded.

        Days that were pruned have none.
        """
        sql = "select day, name, sha256, placed from files where day between ? and ? and day > ? order by seq, rowid"
        found: dict[tuple[str, str], set[str]] = {}
        asked = (min(days).isoformat(), max(days).isoformat(), self.fact(PRUNED_TO) or "")
        for day, name, sha256, placed in self._read(sql, *asked):
            if placed:
                found[day, name] = {sha256}
            elif (day, name) in found:
                found[day, name].add(sha256)
        return found

    def waiting(self) -> list[tuple[str, str]]:
        """Day and name of the files that are noted and may not be in their places yet."""
        return [(day, name) for day, name in self._read("select day, name from files where placed = 0")]

    def files(self) -> list[tuple[Path, dict[str, Any]]]:
        """Every landed file that was not pruned with its span, the newest first."""
        sql = "select day, name, span from files where day > ? order by seq desc, rowid desc"
        found = self._read(sql, self.fact(PRUNED_TO) or "")
        return [(self.folder / day / name, json.loads(span)) for day, name, span in found]

    def _read(self, sql: str, *values: Any) -> list[Any]:
        if not self._path.exists():
            return []
        with self._open() as database:
            return database.execute(sql, values).fetchall()

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=60)) as database:
            database.execute("pragma synchronous = extra")
            with database:
                yield database

    @staticmethod
    def _last(database: sqlite3.Connection) -> int:
        found = database.execute("select coalesce(max(seq), 0) from pieces").fetchone()
        return int(found[0])
