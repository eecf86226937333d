"""How the source of a model reads raw files: what a file to be scored is read by where it is not as callers say it."""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.numbers import Bounds
from ml_assets.config.source_spec import TableSpec
from ml_assets.config.sources import sources_beside
from ml_assets.ingestion.reading.readers import quote
from ml_assets.ingestion.reading.texts import NAMED, UTF8, WINDOWS, delimiter_of, encoding_of


@dataclass(frozen=True)
class SourceReading:
    """Separator and encoding of the source's CSV files, and the SQL over raw texts that makes each of its columns."""

    name: str = ""
    delimiter: str = ","
    encoding: str = UTF8
    columns: Mapping[str, str] = field(default_factory=dict)

    def encoding_of(self, file: Path) -> str:
        """The encoding of a CSV file: what its bytes say; where they are no Unicode, the source's.

        Raises:
            IngestionError: when it is no text file.
        """
        found = encoding_of(file).encoding
        own = codecs.lookup(self.encoding).name
        return self.encoding if found == WINDOWS and not own.startswith("utf") else found

    def delimiter_of(self, file: Path) -> str:
        """The separator of a CSV file: the source's, where another one does not fit its lines better."""
        return delimiter_of(file, self.encoding_of(file), self.delimiter)

    def said(self, file: Path) -> str:
        """How a CSV file is read, for people."""
        delimiter = self.delimiter_of(file)
        between = NAMED.get(delimiter, repr(delimiter))
        return f"{file}: read as {self.encoding_of(file)}, with {between} between columns"

    def mapped(self, raw: Sequence[str], wanted: Sequence[str]) -> dict[str, str]:
        """SQL of those wanted columns that the source makes of raw columns that are all there.

        A column that is taken as it is under its own name is none of them.
        """
        columns = ", ".join(f"null::varchar as {quote(name)}" for name in distinct(raw)) or "null as nothing"
        found = {}
        with duckdb.connect() as connection:
            for name in wanted:
                sql = self.columns.get(name, name)
                if sql.strip() in {name, quote(name)}:
                    continue
                try:
                    connection.execute(f"select ({sql}) from (select {columns}) limit 0")
                except duckdb.Error:
                    continue
                found[name] = sql
        return found


def distinct(names: Sequence[str]) -> list[str]:
    """The names without those that differ in case only: SQL takes them for one."""
    return list({name.lower(): name for name in reversed(names)}.values())[::-1]


def reading_of(spec: ModelSpec) -> SourceReading:
    """How the source beside the shop that a model is of reads the table of its events."""
    table = table_of(spec)
    if table is None:
        return SourceReading(spec.source if spec.source in sources_beside() else "")
    mapping = {} if table.derive else {name: column.source for name, column in table.columns.items()}
    return SourceReading(spec.source, table.delimiter, table.encoding, mapping)


def table_of(spec: ModelSpec) -> TableSpec | None:
    """The table of a model's events, where its source is one beside the shop and has one such table."""
    source = sources_beside().get(spec.source)
    tables = list(source.tables.values()) if source else []
    own = [table for table in tables if spec.entity in table.columns] or tables
    return own[0] if len(own) == 1 else None


def numbers_of(spec: ModelSpec) -> dict[str, Bounds]:
    """What the contract of that table says of the numbers a request names."""
    table = table_of(spec)
    columns = table.columns if table else {}
    return {name: columns[name].bounds for name in spec.request_features if name in columns}
