"""The columns of the source: where each comes from, its type, and what people read about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ml_assets.config.keys import NAMED, WHOLE
from ml_assets.scaffold.kinds import Kind
from ml_assets.scaffold.label_stats import Measured
from ml_assets.scaffold.names import words
from ml_assets.scaffold.options import Wanted
from ml_assets.scaffold.profile import Look
from ml_assets.scaffold.raw_column import FEW, Column
from ml_assets.scaffold.roles import Roles

ID = "identifies the event", "Identity of the event (text)"


@dataclass(frozen=True)
class SourceColumn:
    """A column of the source: its name, and what the YAML says of it."""

    name: str
    said: Mapping[str, Any]
    words: str


def source_columns(look: Look, measured: Measured, wanted: Wanted, roles: Roles) -> Iterator[SourceColumn]:
    """The columns of the source in the file's order, without those that have one value only."""
    time, label = look.column(wanted.time).name, look.column(wanted.label).name
    keys = {look.column(key).name for key in wanted.entities}
    if roles.made_up:
        about = f"{ID[0]}, which its caller calls {measured.identity.words}"
        said = {"from": measured.identity.sql, "type": "VARCHAR", "description": about}
        yield SourceColumn(roles.event, said, ID[1])
    for column in look.columns:
        if column.raw in roles.constant:
            continue
        if column.name == roles.event:
            said = {"from": column.key_sql, "type": "VARCHAR", "description": ID[0]}
            yield SourceColumn(column.name, said, ID[1])
        elif column.name == time:
            plain = column.kind is Kind.MOMENT and not column.unknown
            wanted_when = "when the prediction is wanted"
            said = {"from": column.raw_sql if plain else measured.moment.sql, "type": "TIMESTAMP"}
            yield SourceColumn(time, said | {"description": wanted_when}, wanted_when.capitalize())
        elif column.name == label:
            yield _label(column, measured, wanted)
        else:
            yield _any(column, text=column.name in keys)


def _any(column: Column, *, text: bool) -> SourceColumn:
    """A column as it is; a join key is a text whatever it looks like, and one that a request can name."""
    about = words(column.raw)
    said: dict[str, Any] = {"from": column.key_sql if text else column.from_sql}
    said |= {"type": "VARCHAR" if text else column.type, "description": about}
    said |= {"nullable": True} if column.missing else {}
    said |= {"pattern": WHOLE if column.numbered else NAMED} if text else {}
    if column.kind is Kind.FLAG and not text:
        said |= {"min": 0, "max": 1}
    elif column.low is not None and column.low >= 0 and not text:
        said |= {"min": 0}
    return SourceColumn(column.name, said, _described(column, about, text=text))


def _label(column: Column, measured: Measured, wanted: Wanted) -> SourceColumn:
    said: dict[str, Any] = {"from": measured.label.sql, "type": "INTEGER" if wanted.task == "binary" else "DOUBLE"}
    said |= {"description": words(column.raw)} | ({"nullable": True} if measured.unlabelled else {})
    said |= {"min": 0, "max": 1} if wanted.task == "binary" else {}
    late = "the day after" if (wanted.horizon_days or 1) == 1 else f"{wanted.horizon_days} days later"
    kind = "1 or 0" if wanted.task == "binary" else "number"
    return SourceColumn(column.name, said, f"The label: {words(column.raw)} ({kind}); known {late}")


def _described(column: Column, about: str, *, text: bool) -> str:
    about = about[:1].upper() + about[1:]
    if text:
        return f"{about} ({'whole number as text' if column.numbered else 'text'})" + (
            "; unknown where the file does not say" if column.missing else ""
        )
    if column.kind is Kind.FLAG:
        return f"{about} (1 yes, 0 no)"
    if column.low is not None and column.high is not None:
        return f"{about} ({_short(column.low)} to {_short(column.high)} in the file)"
    if column.distinct <= FEW and column.kind is Kind.TEXT:
        return f"{about} ({', '.join(column.values)})"[:90]
    return f"{about} ({column.kind})"


def _short(number: float) -> str:
    return f"{number:,.0f}".replace(",", " ") if number == round(number) else f"{number:.4g}"
