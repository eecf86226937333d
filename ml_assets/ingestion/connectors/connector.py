"""The connector of a table, by its kind of source."""

from __future__ import annotations

from datetime import date

from ml_assets.config.source_spec import SourceSpec, TableSpec
from ml_assets.ingestion.connectors.base import Connector, LandingContext
from ml_assets.ingestion.connectors.days import Days


def where(source: SourceSpec, table: TableSpec) -> str:
    """The place of a table's source in the YAML."""
    return f"tables.{table.name}.source of {source.name}.yaml"


def days_of(source: SourceSpec, landed_on: date) -> Days:
    """The shop's rule for days."""
    return Days(source.calendar.start, source.calendar.end, landed_on)


def connect(table: TableSpec, context: LandingContext) -> Connector:
    """The connector of a table's kind of source.

    Raises:
        ValueError: when the table has no source.
    """
    match table.source:
        case None:
            raise ValueError(f"table {table.name} has no source: its files are delivered")
        case source if source.kind == "sql":
            from ml_assets.ingestion.connectors.sql import SqlConnector

            return SqlConnector(source, context)
        case source if source.kind == "files":
            from ml_assets.ingestion.connectors.objects import ObjectsConnector

            return ObjectsConnector(source, context)
        case source:
            from ml_assets.ingestion.connectors.kafka import KafkaConnector

            return KafkaConnector(source, context)
