"""Does a file have the raw columns the mapping needs, and if not, what may the missing one be called now?"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from ml_assets.ingestion.errors import IngestionError
from ml_assets.ingestion.readers import quote
from ml_assets.ingestion.spec import SourceSpec, TableSpec

MISSING = re.compile(r'Referenced column "(?P<name>[^"]+)" not found|does not have a column named "(?P<member>[^"]+)"')
INTERNAL = "null::varchar as _source, null::date as _day, null::bigint as _row, null::varchar as _line"


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
        names = ", ".join(f"null::varchar as {quote(name)}" for name in self.columns)
        on_raw, on_derived = expressions(self.table)
        raw = f"(select {names}, {INTERNAL} limit 0)"
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
                raise self._missing(found["name"] or found["member"], expression) from error
            why = str(error).splitlines()[0]
            problem = f"{expression.where} is no SQL that can run ({why}): {expression.sql}"
            remedy = f"correct {expression.where} in {self.source.name}.yaml"
            raise IngestionError(problem, remedy=remedy) from error

    def _missing(self, missing: str, expression: Expression) -> IngestionError:
        near = near_match(missing, self.columns, self.table)
        problem = f"column {missing!r} is missing (needed by {expression.where}); "
        remedy = f"deliver the column {missing!r} again"
        if near is None:
            problem += f"the file has {', '.join(self.columns)}"
        else:
            problem += f"{near!r} looks like it, renamed"
            remedy += f", or write {near!r} for {missing!r} in {expression.where} of {self.source.name}.yaml"
        return IngestionError(problem, file=self.path, column=missing, remedy=remedy)


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
