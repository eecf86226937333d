"""Whose rows stay away: salted digests of erased entities, which ingestion compares each row with.

`<shop>/erased/tombstones.json` has no id in it. Who has the file can test whether a given id was erased, and no more.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import duckdb

from ml_assets.config.settings import Settings
from ml_assets.config.source_spec import TableSpec
from ml_assets.ingestion.reading.readers import literal, quote
from ml_assets.storage.files import write_text_atomically

TOKENS = r"[^\s,;|\"{}:\[\]]+"
"""What may be an id in a line that is no row."""


@dataclass(frozen=True)
class Tombstones:
    """Digests by column; the salt keeps others from comparing them with digests of their own."""

    salt: str = field(default_factory=lambda: secrets.token_hex(16))
    digests: dict[str, list[str]] = field(default_factory=dict)

    def digest(self, column: str, entity: str) -> str:
        """What stands for an entity."""
        return hashlib.sha256(f"{self.salt}:{column}:{entity}".encode()).hexdigest()

    def of(self, table: TableSpec) -> dict[str, list[str]]:
        """Those that a table's columns may hold."""
        return {column: found for column, found in self.digests.items() if column in table.columns}


def erased_home(settings: Settings) -> Path:
    """Folder of tombstones and receipts."""
    return settings.shop_home / "erased"


def read_tombstones(settings: Settings) -> Tombstones:
    """The tombstones; without any, a new salt."""
    path = erased_home(settings) / "tombstones.json"
    return Tombstones(**json.loads(path.read_text())) if path.exists() else Tombstones()


def add_tombstone(settings: Settings, column: str, entity: str) -> str:
    """Keep an entity's rows away from now on; returns its digest."""
    known = read_tombstones(settings)
    digest = known.digest(column, entity)
    digests = {**known.digests, column: sorted({*known.digests.get(column, ()), digest})}
    said = {"salt": known.salt, "digests": digests}
    write_text_atomically(erased_home(settings) / "tombstones.json", json.dumps(said, indent=1))
    return digest


def drop_erased(table: TableSpec, known: Tombstones, connection: duckdb.DuckDBPyConnection) -> dict[date, int]:
    """Take the rows of erased entities out of the temporary table `checked`; returns how many, by day.

    Also lines that are no row, when one of their words is an erased id.
    """
    dropped: dict[date, int] = {}
    for column, digests in known.of(table).items():
        listed = ", ".join(literal(digest) for digest in digests)
        salted = literal(f"{known.salt}:{column}:")
        words = f"regexp_extract_all(_line, {literal(TOKENS)})"
        gone = (
            f"coalesce(sha256({salted} || {quote(column)}::varchar) in ({listed}), false) or coalesce("
            f"list_has_any(list_transform({words}, lambda word: sha256({salted} || word)), [{listed}]), false)"
        )
        counts = connection.execute(f"select _day, count(*) from checked where {gone} group by _day").fetchall()
        if counts:
            connection.execute(f"delete from checked where {gone}")
        dropped |= {day: dropped.get(day, 0) + count for day, count in counts}
    return dropped
