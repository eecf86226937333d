"""Does a file have the raw columns the mapping needs, and if not, what may the missing one be called now?"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from ml_assets.config.ingestion_error import IngestionError
from ml_assets.config.source_spec import SourceSpec, TableSpec
from ml_assets.ingestion.reading.readers import quote

MISSING = re.compile(
    r'Referenced column "(?P<name>.+?)" not found in FROM clause'
    r'|does not have a column named "(?P<member>(?:[^"]|"")+)"',
    re.DOTALL,
)
INTERNAL = (
    "null::varchar as _source, null::date as _day, null::bigint as _row, null::varchar as _line, null::bigint as _at"
)


@dataclass(frozen=True)
class Expression:
    """A piece of SQL of the shop's YAML and where it stands there."""

    where: str
    sql: str


def expressions(table: TableSpec) -> tuple[list[Expression], list[Expression]]:
    """The SQL of a table that reads the raw file, and the SQL that reads what `derive` made of it."""
    at = f"tables.{table.name}"
    day = [] if table.day is None else [Expression(f"{at}.day", table.day)]
    mapping = [Expression(f"{at}.columns.{name}.from", column.source) for name, column in table.columns.items()]
    rules = [Expression(f"{at}.rules.{name}", sql) for name, sql in table.rules.items()]
    if table.derive is None:
        return [*day, *mapping, *rules], []
    return day, [*mapping, *rules]


@dataclass(frozen=True)
class Binder:
    """Binds a table's expressions against an empty relation with one file's columns; nothing is read."""

    source: SourceSpec
    table: TableSpec
    columns: Sequence[str]
    path: Path
    connection: duckdb.DuckDBPyConnection

    def check(self) -> None:
        """Bind every expression.

        Raises:
            IngestionError: when a raw column is missing (it names the near match) or SQL is invalid.
        """
        names = "".join(f"null::varchar as {quote(name)}, " for name in self.columns)
        on_raw, on_derived = expressions(self.table)
        raw = f"(select {names}{INTERNAL} limit 0)"
        for expression in on_raw:
            self._bind(f"select {expression.sql} from {raw}", expression)
        if self.table.derive is not None:
            derived = f"with raw as (from {raw}) {self.table.derive}"
            self._bind(derived, Expression(f"tables.{self.table.name}.derive", self.table.derive))
            for expression in on_derived:
                self._bind(f"select {expression.sql} from ({derived})", expression)

    def _bind(self, sql: str, expression: Expression) -> None:
        try:
            self.connection.execute(sql)
        except duckdb.Error as error:
            found = MISSING.search(str(error))
            if found is not None:
                missing = found["name"] or found["member"].replace('""', '"')
                raise self.missing(missing, expression) from error
            why = str(error).splitlines()[0]
            problem = f"{expression.where} is no SQL that can run ({why}): {expression.sql}"
            remedy = f"correct {expression.where} in {self.source.name}.yaml"
            raise IngestionError(problem, remedy=remedy) from error

    def missing(self, name: str, expression: Expression | None = None) -> IngestionError:
        """The error that the file lacks a raw column, with what that may be called now.

        Args:
            name: of the column.
            expression: the SQL that reads it; looked for where not given.
        """
        if expression is None:
            on_raw, on_derived = expressions(self.table)
            needing = (each for each in (*on_raw, *on_derived) if name.lower() in each.sql.lower())
            expression = next(needing, Expression(f"tables.{self.table.name}.derive", self.table.derive or ""))
        near = near_match(name, self.columns, self.table)
        problem = f"column {name!r} is missing (needed by {expression.where}); "
        remedy = f"deliver the column {name!r} again"
        if near is None:
            problem += f"the file has {', '.join(self.columns)}"
        else:
            problem += f"{near!r} looks like it, renamed"
            remedy += f", or write {near!r} for {name!r} in {expression.where} of {self.source.name}.yaml"
        return IngestionError(problem, file=self.path, column=name, remedy=remedy)


def keys_read(
    source: SourceSpec, table: TableSpec, connection: duckdb.DuckDBPyConnection, always: Sequence[str] = ()
) -> tuple[str, ...]:
    """The raw columns that the table's SQL reads, beside those that are `always` there, in the order it names them.

    Raises:
        IngestionError: when that SQL cannot run for another reason than a missing column.
    """
    columns = list(always)
    while True:
        try:
            Binder(source, table, columns, Path(table.address), connection).check()
        except IngestionError as error:
            if error.column is None or error.column in columns:
                raise
            columns.append(error.column)
        else:
            return tuple(columns[len(always) :])


def near_match(missing: str, columns: Sequence[str], table: TableSpec) -> str | None:
    """The file's column that most likely is the missing one renamed: close in name, not in the mapping."""
    on_raw, on_derived = expressions(table)
    sql = " ".join([*(part.sql for part in (*on_raw, *on_derived)), table.derive or ""])
    used = set(re.findall(r"\w+", sql.lower()))
    unused = {name.lower(): name for name in columns if name.lower() not in used}
    close = difflib.get_close_matches(missing.lower(), unused, n=1, cutoff=0.5)
    inside = [name for name in unused if missing.lower() in name.split("_")]
    chosen = (inside or close or (list(unused) if len(unused) == 1 else []))[:1]
    return unused[chosen[0]] if chosen else None
