"""Values of a database as text, as positions that survive JSON, and rows as one Parquet file a day.

Everything lands as text: whether a value has its type is the contract's question, and a file's bytes must not
depend on what a database driver took a column for.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq

from ml_assets.ingestion.connectors.journal import StagedFile


def as_text(value: Any) -> str | None:
    """A value as the contract reads it: numbers and times in their exact form, nested values as JSON, NULL as none."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf8", "backslashreplace")
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=as_text)
    return str(value)


READ: dict[str, Callable[[str], Any]] = {
    "int": int, "float": float, "str": str, "Decimal": Decimal, "UUID": UUID,
    "datetime": datetime.fromisoformat, "date": date.fromisoformat,
}  # fmt: skip
"""What a cursor or key may be, and how it is read back."""


def encode(value: Any) -> list[str]:
    """A cursor or key value as JSON can say it, with its type.

    Raises:
        TypeError: when it has a type no cursor or key can have.
    """
    kind = type(value).__name__
    if kind not in READ:
        raise TypeError(f"a cursor or key cannot be of type {kind}")
    return [kind, value.isoformat() if isinstance(value, date) else str(value)]


def decode(said: Sequence[str]) -> Any:
    """The value that `encode` wrote down."""
    kind, text = said
    return READ[kind](text)


class DayFiles:
    """Rows of one piece on their way into a Parquet file of text columns per day; memory holds one fetch."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.rows = 0
        self._held: dict[date, list[Sequence[Any]]] = defaultdict(list)
        self._writers: dict[date, pq.ParquetWriter] = {}
        self._counts: dict[date, int] = defaultdict(int)
        self._spans: dict[date, list[Any]] = {}

    def add(self, day: date, row: Sequence[Any], cursor: Any) -> None:
        """Take a row; within a piece, rows come in the order of their cursors."""
        self._held[day].append(row)
        self._counts[day] += 1
        self.rows += 1
        self._spans.setdefault(day, [cursor, cursor])[1] = cursor

    def flush(self, columns: Sequence[str]) -> None:
        """Write what is held."""
        schema = pa.schema([(name, pa.string()) for name in columns])
        for day, rows in self._held.items():
            if day not in self._writers:
                self._writers[day] = pq.ParquetWriter(self._path(day), schema, compression="zstd")
            texts = [pa.array([as_text(value) for value in column], pa.string()) for column in zip(*rows, strict=True)]
            self._writers[day].write_table(pa.table(texts, schema=schema))
        self._held.clear()

    def close(self) -> None:
        """End every file."""
        for writer in self._writers.values():
            writer.close()

    def staged(self) -> tuple[StagedFile, ...]:
        """The files, in the order of days."""
        return tuple(
            StagedFile(self._path(day), day, self.name, self._counts[day], {"low": encode(low), "high": encode(high)})
            for day, (low, high) in sorted(self._spans.items())
        )

    def _path(self, day: date) -> Path:
        return self.folder / f"{day}.parquet"
