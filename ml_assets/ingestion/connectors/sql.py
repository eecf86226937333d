"""Rows of a database, piece by piece: late ones first, then forward by cursor and key.

A row is the same row when cursor and key are the same. Forward, pieces follow each other by these columns, up to the
largest cursor value there was when the landing began. A transaction may commit a smaller value later than a larger
one; so each landing first reads the last `overlap` below its position again and keeps what has not landed yet. A
cursor that went back further belongs to another history (a restored backup): its new rows would look like landed ones.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from ml_assets.config.connector_spec import SqlSource
from ml_assets.config.ingestion_error import IngestionError
from ml_assets.ingestion.connectors.base import LandingContext, UnreachableError
from ml_assets.ingestion.connectors.journal import Batch
from ml_assets.ingestion.connectors.values import DayFiles, as_text, decode, encode

FETCH_ROWS = 10_000
POSITION, POSITION_DAY = "after", "after_day"
"""Cursor and key of the newest landed row, and the day it said, where that is another column."""
Row = Sequence[Any]
RESTORED = (
    "rows that were written since then have the numbers of landed ones and would be lost: land the source into a table "
    "of another name; where its newest rows were only deleted, landing goes on by itself once there are newer ones"
)
RESTORED_TIME = (
    "land the source into a table of another name; a cursor without a time zone must be in UTC, as local time goes "
    "back when daylight saving ends (an `overlap` of 2 hours covers that hour)"
)


class SqlConnector:
    """One database, open for one landing."""

    def __init__(self, source: SqlSource, context: LandingContext) -> None:
        self.source, self.context = source, context
        self._engine: sa.Engine | None = None
        self._top: Any = None
        self._late_read = False

    def head(self) -> str:
        """The largest cursor value."""
        return as_text(self._largest()) or "no rows"

    def reset(self) -> None:
        """Close the connections."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def next_batch(self, position: Mapping[str, str]) -> Batch | None:
        """Rows below the position that were committed late, then the next `piece_rows` after it."""
        after = None if POSITION not in position else tuple(decode(value) for value in json.loads(position[POSITION]))
        if self._top is None:
            self._top = self._largest()
            if self._top is None:
                return None
        if after is not None:
            self._check_history(after, position.get(POSITION_DAY))
        late = self._late(after) if after is not None and not self._late_read else None
        self._late_read = True
        return late or self._forward(after)

    def _late(self, after: Row) -> Batch | None:
        cursor: sa.ColumnClause[Any] = sa.column(self.source.cursor)
        lower = self._lower(after[0])
        landed = self._landed(lower)
        query = self._select().where(cursor >= lower, sa.not_(self._is_after(after)))
        files, _, _ = self._write(query, landed)
        if not files.rows:
            return None
        return Batch(files.staged(), {}, f"{files.rows} rows committed late", files.rows)

    def _forward(self, after: Row | None) -> Batch | None:
        query = self._select().where(sa.column(self.source.cursor) <= self._top).limit(self.source.piece_rows)
        if after is not None:
            query = query.where(self._is_after(after))
        files, last, day = self._write(query, frozenset())
        if last is None:
            return None
        position = {POSITION: json.dumps([encode(value) for value in last]), POSITION_DAY: day or ""}
        return Batch(files.staged(), position, f"rows to {self.source.cursor} {as_text(last[0])}", files.rows)

    def _check_history(self, after: Row, day: str | None) -> None:
        """Refuse a source that has gone back behind what has landed, or where the newest landed row is another one."""
        newest, largest = after[0], self._top
        timed = hasattr(newest, "isoformat")
        try:
            back = largest < (self._lower(newest) if timed else newest)
        except TypeError as error:
            raise self._error(f"{self.source.cursor} has another type than landed values ({error})", RESTORED) from None
        if back:
            problem = f"{self.source.cursor} ends at {as_text(largest)}, but landing has come to {as_text(newest)}"
            raise self._error(
                f"{problem}: was it restored from a backup", RESTORED if isinstance(newest, int) else RESTORED_TIME
            )
        if not day or self.source.day is None or self._late_read:
            return
        same = sa.and_(*(sa.column(name) == value for name, value in zip(self.source.identity, after, strict=True)))
        for columns, rows in self._stream(self._select().where(same)):
            now = as_text(rows[0][self._day_place(columns)])
            if now and now != day:
                shown = ", ".join(
                    f"{name} {as_text(value)}" for name, value in zip(self.source.identity, after, strict=True)
                )
                problem = f"the row with {shown} landed with {self.source.day} {day} and has {now} now"
                raise self._error(f"{problem}: was it restored from a backup", RESTORED)

    def _day_place(self, columns: list[str]) -> int:
        return columns.index(self.source.day) if self.source.day else self._places(columns)[0]

    def _write(self, query: sa.Select[Any], landed: frozenset[bytes]) -> tuple[DayFiles, Row | None, str | None]:
        """Stream the rows that have not landed into a file per day; also the last row's identity and day."""
        name = f"{self.context.journal.last() + 1:08d}.parquet"
        files = DayFiles(self.context.staging, name)
        last: Row | None = None
        said: str | None = None
        for columns, rows in self._stream(query):
            places = self._places(columns)
            day = self._day_place(columns)
            for row in rows:
                identity = tuple(row[place] for place in places)
                self._check(identity, last)
                last, said = identity, as_text(row[day])
                if not landed or _hash(identity) not in landed:
                    files.add(self.context.days.of(row[day]), row, identity[0])
            files.flush(columns)
        files.close()
        return files, last, said

    def _stream(self, query: sa.Select[Any]) -> Iterator[tuple[list[str], Sequence[Row]]]:
        try:
            with self._connect().connect() as connection:
                result = connection.execution_options(stream_results=True, yield_per=FETCH_ROWS).execute(query)
                columns = list(result.keys())
                for rows in result.partitions():
                    yield columns, rows
        except SQLAlchemyError as error:
            raise self._explain(error) from None

    def _places(self, columns: list[str]) -> list[int]:
        asked = {"cursor": [self.source.cursor], "key": self.source.key, "day": [self.source.day or self.source.cursor]}
        for key, names in asked.items():
            for name in names:
                if name not in columns:
                    raise self._error(f"{key}: there is no column {name!r}; there are {', '.join(columns)}", "name one")
        return [columns.index(name) for name in self.source.identity]

    def _check(self, identity: Row, last: Row | None) -> None:
        if None in identity:
            empty = self.source.identity[identity.index(None)]
            raise self._error(
                f"{empty} is null in a row: it would be lost", f"leave such rows out, or choose a `key` without {empty}"
            )
        if identity == last:
            shown = ", ".join(
                f"{name} {as_text(value)}" for name, value in zip(self.source.identity, identity, strict=True)
            )
            raise self._error(f"two rows have the same {shown}", "name under `key` the columns that tell them apart")

    def _lower(self, newest: Any) -> Any:
        overlap = self.source.overlap
        try:
            if overlap == 0 or overlap == timedelta(0):
                return newest
            if isinstance(overlap, timedelta) == hasattr(newest, "isoformat"):
                return newest - overlap
        except TypeError:
            pass
        remedy = "say a number for a cursor that counts, a duration (15 minutes) for one that is a time"
        raise self._error(f"overlap: {self.source.overlap} does not fit a cursor like {as_text(newest)!r}", remedy)

    def _landed(self, lower: Any) -> frozenset[bytes]:
        """Hashes of cursor and key of every landed row that may lie at or above `lower`."""
        seen: set[bytes] = set()
        for path, span in self.context.journal.files():
            if decode(span["high"]) >= lower:
                seen.update(_identities(path, self.source.identity))
        return frozenset(seen)

    def _is_after(self, position: Row) -> sa.ColumnElement[bool]:
        """Cursor and key are greater than the position; spelled out, as not every database compares rows."""
        columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in self.source.identity]
        found: sa.ColumnElement[bool] = sa.false()
        for column, value in reversed(list(zip(columns, position, strict=True))):
            found = sa.or_(column > value, sa.and_(column == value, found))
        return found

    def _select(self) -> sa.Select[Any]:
        order: list[sa.ColumnClause[Any]] = [sa.column(name) for name in self.source.identity]
        return sa.select(sa.literal_column("*")).select_from(self._relation()).order_by(*order)

    def _relation(self) -> sa.FromClause:
        if self.source.table is not None:
            schema, _, name = self.source.table.rpartition(".")
            return sa.table(name, schema=schema or None)
        query = re.sub(r"(?<!:):(?=\w)", r"\\:", (self.source.query or "").strip().rstrip(";"))
        return sa.text(f"({query}) source_rows")  # type: ignore[return-value]  # text stands for a relation here

    def _largest(self) -> Any:
        column: sa.ColumnClause[Any] = sa.column(self.source.cursor)
        empty = sa.select(column).select_from(self._relation()).where(column.is_(None)).limit(1)
        largest = sa.select(sa.func.max(column)).select_from(self._relation())
        try:
            with self._connect().connect() as connection:
                without = connection.execute(empty).first()
                found = connection.execute(largest).scalar()
        except SQLAlchemyError as error:
            raise self._explain(error) from None
        if without is not None:
            raise self._error(
                f"{self.source.cursor} is null in a row: it would be lost", "leave such rows out (`query:`)"
            )
        return found

    def _connect(self) -> sa.Engine:
        if self._engine is None:
            address = self.context.references.resolve(self.source.address)
            try:
                url = sa.make_url(address)
                self.context.references.hide(url.password)
                self._engine = sa.create_engine(url, pool_size=1, max_overflow=0)
            except ModuleNotFoundError as error:
                raise self._error(
                    f"the driver {error.name} is not installed", "install the extra `postgres`, or the driver"
                ) from None
            except (ArgumentError, NoSuchModuleError, ValueError):
                form = "dialect+driver://user:password@host:port/database"
                raise self._error(f"{self.source.address} holds no SQLAlchemy address", f"write {form}") from None
        return self._engine

    def _explain(self, error: SQLAlchemyError) -> Exception:
        """An answer about the query is final; a lost or refused connection is not."""
        said = self.context.references.mask(getattr(error, "orig", None) or error)
        gone = isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError | sa.exc.TimeoutError)
        if gone or (isinstance(error, DBAPIError) and error.connection_invalidated):
            return UnreachableError(said)
        return self._error(f"the database refuses the query: {said}", "correct table, query, cursor, key or the rights")

    def _error(self, problem: str, remedy: str) -> IngestionError:
        return IngestionError(problem, file=self.context.where, remedy=remedy)


def _identities(path: Path, names: Sequence[str]) -> Iterator[bytes]:
    with pq.ParquetFile(path) as opened:
        for batch in opened.iter_batches(columns=list(names)):
            columns = [batch.column(name).to_pylist() for name in names]
            yield from (_hash(identity) for identity in zip(*columns, strict=True))


def _hash(identity: Row) -> bytes:
    text = json.dumps([as_text(value) for value in identity])
    return hashlib.blake2b(text.encode("utf8", "backslashreplace"), digest_size=16).digest()
