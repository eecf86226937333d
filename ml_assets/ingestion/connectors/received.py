"""Messages as they came from a topic, and the files they land in."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from ml_assets.ingestion.connectors.days import Days
from ml_assets.ingestion.connectors.journal import StagedFile

SCHEMA = pa.schema(
    [(f"kafka_{name}", pa.string()) for name in ("partition", "offset", "timestamp", "key", "headers", "value")]
)


@dataclass(frozen=True)
class Received:
    """One message: where it was, when Kafka says it came (none where it does not say), and its bytes as text."""

    partition: int
    offset: int
    at: datetime | None
    key: str | None
    headers: str | None
    value: str | None

    def claims(self, day: str | None) -> Sequence[Any]:
        """What the message's day may be read from, the best first: the key `day` of its content, then its time."""
        if day is None:
            return (self.at,)
        try:
            content = orjson.loads(self.value or "")
        except orjson.JSONDecodeError:
            return (self.at,)
        return (content.get(day), self.at) if isinstance(content, dict) else (self.at,)

    def row(self) -> tuple[str | None, ...]:
        """The message as a row of `SCHEMA`."""
        at = None if self.at is None else self.at.isoformat(timespec="milliseconds")
        return str(self.partition), str(self.offset), at, self.key, self.headers, self.value


def moment(milliseconds: int) -> datetime | None:
    """A message's timestamp; none where it is no time a calendar has."""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def as_text(value: object) -> str | None:
    """Bytes as text; what is no UTF-8 is written as escapes, so that nothing is lost."""
    if isinstance(value, bytes):
        return value.decode("utf8", "backslashreplace")
    return None if value is None else str(value)


def headers_text(headers: Mapping[str, object] | Iterable[tuple[str, object]] | None) -> str | None:
    """Headers as a JSON list of pairs."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
    return json.dumps([[name, as_text(value)] for name, value in pairs]) if headers else None


def write_messages(
    messages: Iterable[Received], folder: Path, topic: str, days: Days, day: str | None
) -> tuple[StagedFile, ...]:
    """Write a Parquet file per partition and day, named by topic, partition, first and last offset in it."""
    held: dict[tuple[int, date], list[Received]] = defaultdict(list)
    for message in messages:
        held[message.partition, days.of(*message.claims(day))].append(message)
    files = []
    for (partition, of_day), group in sorted(held.items(), key=lambda item: item[0]):
        first, last = group[0].offset, group[-1].offset
        name = f"{topic.lstrip('.')}-p{partition:05d}-{first:020d}-{last:020d}.parquet"
        path = folder / f"{of_day}-{name}"
        columns = zip(*(message.row() for message in group), strict=True)
        table = pa.table([pa.array(column, pa.string()) for column in columns], schema=SCHEMA)
        pq.write_table(table, path, compression="zstd")
        span = {"partition": partition, "first": first, "last": last}
        files.append(StagedFile(path, of_day, name, len(group), span))
    return tuple(files)
