"""Times of which some say their distance from UTC: the others are taken for UTC, and that is said."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import duckdb

from ml_assets.config.source_spec import TableSpec
from ml_assets.ingestion.reading.readers import literal

OFFSET = r":\d\d([.,]\d+)?\s*([zZ]|[+-]\d\d(:?\d\d)?|[A-Za-z][A-Za-z_/]+)$"
"""The end of a time that says its distance from UTC."""
CLOCK = r"\d:\d\d"


def says_offset(text: str) -> str:
    """SQL: whether a text is a time with a distance from UTC."""
    return f"regexp_matches(trim({text}), {literal(OFFSET)})"


@dataclass
class Offsets:
    """Counts, by column, of the times of a table that say their distance from UTC and of those that do not."""

    said: Counter[str] = field(default_factory=Counter)
    unsaid: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def count(self, table: TableSpec, relation: str, connection: duckdb.DuckDBPyConnection) -> None:
        """Add the rows of a relation that has the table's raw columns."""
        times = {name: column.source for name, column in table.columns.items() if column.type == "TIMESTAMP"}
        for name, sql in times.items():
            text = f"cast(({sql}) as varchar)"
            found = connection.execute(
                f"select count(*) filter ({says_offset('text')}) as said, count(*) - said, "
                f"any_value(text) filter (not {says_offset('text')}) "
                f"from (select {text} as text from {relation}) where regexp_matches(text, {literal(CLOCK)})"
            ).fetchone()
            if found is not None:
                self.said[name] += found[0]
                self.unsaid[name] += found[1]
                if found[2] is not None:
                    self.examples.setdefault(name, found[2])

    def notes(self) -> tuple[str, ...]:
        """A sentence for each column whose times are not all of one sort."""
        return tuple(
            f"{self.unsaid[name]:,} of {count + self.unsaid[name]:,} times of {name} do not say their distance from "
            f"UTC and are taken for UTC, e.g. {self.examples[name]}; the others say it"
            for name, count in self.said.items()
            if count and self.unsaid[name]
        )
