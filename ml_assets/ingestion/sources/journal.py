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
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from ml_assets.files import replace_file, sha256_file
from ml_assets.registry.lock import file_lock

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
class Piece:
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

    def commit(self, piece: Piece) -> None:
        """Note a piece and the position after it in one transaction, then put its files in their places."""
        for file in piece.files:
            _sync(file.path)
        _sync(self.staging)
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
            target.parent.mkdir(exist_ok=True)
            if target.exists():
                old = self.folder / SUPERSEDED / day / f"{seq:08d}-{name}"
                old.parent.mkdir(parents=True, exist_ok=True)
                old.unlink(missing_ok=True)
                os.link(target, old)
            aside.replace(target)
            _sync(target.parent)
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

    def files(self) -> list[tuple[Path, dict[str, Any]]]:
        """Every landed file with its span, the newest first."""
        found = self._read("select day, name, span from files order by seq desc, rowid desc")
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


def _sync(path: Path) -> None:
    """Make a file, or the names in a folder, survive a power cut."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
