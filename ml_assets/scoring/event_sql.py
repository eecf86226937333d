"""SQL that makes an event of a row: each value as a caller of the service says it, else as the source reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from ml_assets.config.keys import EXACT, TEXT, KeyForm, asked, canonical_sql, unfit_sql
from ml_assets.config.limits import FIRST_YEAR, LAST_YEAR
from ml_assets.config.numbers import ANY, MOST, Bounds
from ml_assets.datasets.cutoffs import EVENT_TIMESTAMP, NOW
from ml_assets.datasets.labelled import REQUEST
from ml_assets.datasets.source_reading import SourceReading, distinct
from ml_assets.ingestion.reading.csv_files import LINES
from ml_assets.ingestion.reading.readers import NUMBERED, literal, parquet, quote

NAME = "event__id"
"""The event's id, whatever the model calls it: that name may be a join key's too."""
OWN = "own__"
"""Before a column as the file has it; under its name it is a text, as the source reads it."""
EXACT_SINGLE = 2**24
NO_ROW = "no row: another number of fields, an open quote or a byte of no encoding"


@dataclass(frozen=True)
class EventColumns:
    """What a file of events holds: each column's name, and whether every row says its time.

    `forms` says how keys are written, `bounds` what numbers may be, `source` how the file is read; `mapped` are columns
    that the source can make of what the file has.
    """

    entity: str
    keys: tuple[str, ...]
    request: tuple[str, ...]
    time: str | None
    forms: Mapping[str, KeyForm] = field(default_factory=dict)
    bounds: Mapping[str, Bounds] = field(default_factory=dict)
    source: SourceReading = field(default_factory=SourceReading)
    mapped: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """All of these columns, each once."""
        time = [self.time] if self.time else []
        return list(dict.fromkeys([self.entity, *self.keys, *self.request, *time]))


@dataclass(frozen=True)
class Said:
    """What a file says: the types of its columns, and what is read of it."""

    schema: pa.Schema
    columns: EventColumns

    @property
    def mapped(self) -> Mapping[str, str]:
        """SQL of the columns that the source makes of what the file has."""
        return self.columns.mapped

    def own(self, name: str) -> str | None:
        """SQL: the column of this name as the file has it, if it does."""
        return quote(OWN + name) if name in self.schema.names else None

    def form(self, name: str) -> KeyForm:
        """How a key or id is written; a column of floats has whole numbers, whatever is said: 348.0 is 348."""
        form = self.columns.forms.get(name, TEXT)
        return KeyForm(number=True, missing=form.missing) if self._floats(name) else form

    def _floats(self, name: str) -> bool:
        kind = self.schema.field(name).type if name in self.schema.names else pa.null()
        return bool(pa.types.is_floating(kind) or pa.types.is_decimal(kind))

    def key(self, name: str) -> tuple[str, str]:
        """SQL: a key or id in its one form, and whether it cannot be meant."""
        readings, form = [], self.form(name)
        if own := self.own(name):
            readings.append(self._own_key(name, own, form))
        if name in self.mapped:
            text = f"({self.mapped[name]})::varchar"
            readings.append((canonical_sql(text, form), unfit_sql(text, form)))
        (value, unfit), *others = readings
        for other, other_unfit in others:
            value, unfit = f"case when {unfit} then {other} else {value} end", f"{unfit} and {other_unfit}"
        return value, unfit

    def _own_key(self, name: str, own: str, form: KeyForm) -> tuple[str, str]:
        """Of floats, a NaN is missing, and beyond what they hold exactly nothing can be meant."""
        if not self._floats(name):
            return canonical_sql(f"{own}::varchar", form), unfit_sql(f"{own}::varchar", form)
        kind, number = self.schema.field(name).type, f"{own}::double"
        text = f"case when not isnan({number}) then {own}::varchar end"
        most = EXACT if not pa.types.is_float32(kind) else EXACT_SINGLE
        lost = (
            f" or coalesce(not isnan({number}) and abs({number}) > {most}, false)" if pa.types.is_floating(kind) else ""
        )
        return canonical_sql(text, form), f"({unfit_sql(text, form)}{lost})"

    def number(self, name: str) -> tuple[str, str]:
        """SQL: a number as float64, null where it is missing, and whether it is none."""
        texts = [text for text in (self.own(name), self._mapped_text(name)) if text]
        numbers = [f"try_cast({text} as double)" for text in texts]
        value = f"coalesce({', '.join(numbers)})"
        unread = " and ".join(
            f"({text} is not null and {number} is null)" for text, number in zip(texts, numbers, strict=True)
        )
        return (
            f"case when not isnan({value}) then {value} end",
            f"({unread}) or (not isnan({value}) and abs({value}) > {MOST!r})",
        )

    def moment(self, name: str) -> str:
        """SQL: a time in UTC, null where there is none."""
        own = self.own(name)
        read = [f"try_cast({own} as timestamptz)::timestamp"] if own else []
        read += [f"try_cast({self._mapped_text(name)} as timestamptz)::timestamp"] if name in self.mapped else []
        return f"coalesce({', '.join(read)})"

    def _mapped_text(self, name: str) -> str | None:
        return f"nullif(trim(({self.mapped[name]})::varchar), '')" if name in self.mapped else None


def events_sql(raw: Path, said: Said, moment: datetime | None, *, lines: bool) -> str:
    """SQL for every row: what the join takes, and why it is not to.

    Args:
        raw: Parquet.
        said: what it says.
        moment: when all events are asked (UTC, naive), where the file has no time.
        lines: whether there are columns `_line` with what was no row, and `_at` with the line each row begins in.
    """
    entity, time = said.columns.entity, said.columns.time
    when = said.moment(time) if time else f"timestamp '{moment}'"
    reasons = [_refused("_line is not null", NO_ROW)] if lines else []
    named, unnamed = said.key(entity)
    reasons += [f"case when {named} is null and not {unnamed} then {literal(entity + ': the event has no id')} end"]
    reasons += [_refused(unnamed, f"{entity}: {asked(said.form(entity))}")]
    chosen = []
    for key in said.columns.keys:
        value, unfit = said.key(key)
        reasons.append(_refused(unfit, f"{key}: {asked(said.form(key))}"))
        chosen.append(f"{value} as {quote(key)}")
    chosen += [f"{when} as {EVENT_TIMESTAMP}", f"epoch({when}) as {NOW}"]
    for name in said.columns.request:
        value, wrong = said.number(name)
        reasons.append(_refused(wrong, f"{name}: no finite number of 32 bits"))
        bounds = said.columns.bounds.get(name, ANY)
        reasons.append(_refused(bounds.broken_sql(value), f"{name}: {bounds.asked} is asked"))
        chosen.append(f"{value} as {quote(REQUEST + name)}")
    if time:
        reasons.append(_refused(_no_time(when), f"{time}: no time between {FIRST_YEAR} and {LAST_YEAR}"))
    own = [name for name in said.columns.names if said.own(name)]
    texts = distinct([name for name in said.schema.names if name not in LINES.names]) if said.mapped else []
    values = {name: quote(name) for name in texts} | {name: quote(OWN + name) for name in own}
    shown = ", ".join(f"{literal(name)}: {value}" for name, value in values.items())
    line = "_line is not null" if lines else "false"
    chosen = [
        f"case when not {line} then file_row_number + 1 end as row",
        f"{'_at' if lines else 'null::bigint'} as line",
        f"coalesce({', '.join(reasons)}) as reason",
        f"{'coalesce(_line, ' if lines else '('}to_json({{{shown}}})::varchar) as raw",
        f"{named} as {NAME}",
        *chosen,
    ]
    columns = [
        "file_row_number",
        *(["_line", "_at"] if lines else []),
        *(f"{quote(name)}::varchar as {quote(name)}" for name in texts),
        *(f"{quote(name)} as {quote(OWN + name)}" for name in own),
    ]
    read = f"select {', '.join(columns)} from {parquet(raw, options=NUMBERED)}"
    return f"select {', '.join(chosen)} from ({read})"


def _refused(condition: str, said: str) -> str:
    return f"case when {condition} then {literal(said)} end"


def _no_time(time: str) -> str:
    return f"not coalesce(year({time}) >= {FIRST_YEAR} and year({time}) < {LAST_YEAR}, false)"
