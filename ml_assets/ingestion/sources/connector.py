"""What a kind of source has to offer: what there is now, and the next piece after a position."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Protocol

from ml_assets.ingestion.sources.days import Days
from ml_assets.ingestion.sources.journal import Journal, Piece
from ml_assets.ingestion.sources.references import References
from ml_assets.ingestion.spec import SourceSpec, TableSpec


class UnreachableError(Exception):
    """The source did not answer, or broke off; the same piece may be asked for again."""


@dataclass(frozen=True)
class Desk:
    """Where one landing of a table works.

    Attributes:
        where: the source's place in the YAML, for errors.
        references: resolves `${NAME}` and masks secrets.
        days: says to which day a row belongs.
        journal: what has landed before.
    """

    where: str
    references: References
    days: Days
    journal: Journal

    @property
    def staging(self) -> Path:
        """Folder for the files of the next piece."""
        return self.journal.staging


class Connector(Protocol):
    """One open source. Whatever it raises as `UnreachableError` leads to `reset` and another try."""

    def head(self) -> str:
        """What the source has now, as a short text that changes when something arrives; cheap."""
        ...

    def next_piece(self, position: Mapping[str, str]) -> Piece | None:
        """Write the files of the next piece after the position, or None at the end."""
        ...

    def reset(self) -> None:
        """Let go of connections."""
        ...


def where(source: SourceSpec, table: TableSpec) -> str:
    """The place of a table's source in the YAML."""
    return f"tables.{table.name}.source of {source.name}.yaml"


def days_of(source: SourceSpec, landed_on: date) -> Days:
    """The shop's rule for days."""
    return Days(source.calendar.start, source.calendar.end, landed_on)


def connect(table: TableSpec, desk: Desk) -> Connector:
    """The connector of a table's kind of source.

    Raises:
        ValueError: when the table has no source.
    """
    match table.source:
        case None:
            raise ValueError(f"table {table.name} has no source: its files are delivered")
        case source if source.kind == "sql":
            from ml_assets.ingestion.sources.sql import SqlConnector

            return SqlConnector(source, desk)
        case source if source.kind == "files":
            from ml_assets.ingestion.sources.objects import ObjectsConnector

            return ObjectsConnector(source, desk)
        case source:
            from ml_assets.ingestion.sources.kafka import KafkaConnector

            return KafkaConnector(source, desk)
