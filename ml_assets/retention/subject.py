"""Who is erased: an id, the columns that hold it, and how it is told from other text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ml_assets.config.model_spec import model_specs

TELLING = 5
"""Characters from which an id is told from other text wherever it stands; a shorter one only behind a column's name."""
EDGE = r"[\w-]"


@dataclass(frozen=True)
class Subject:
    """An entity that is erased.

    Attributes:
        entity: the column that holds it in the tables.
        id: its id there.
        names: the columns and keys that hold it anywhere: in raw files and the log they may be called otherwise.
    """

    entity: str
    id: str
    names: frozenset[str]

    @property
    def telling(self) -> bool:
        """Whether the id is long enough to be looked for in any text."""
        return len(self.id) >= TELLING

    @cached_property
    def pattern(self) -> re.Pattern[bytes]:
        """The id in text, as `id` of the match: a whole word; a short one only as the value of one of its names."""
        spelled = "|".join(dict.fromkeys([re.escape(self.id), re.escape(json.dumps(self.id)[1:-1])]))
        word = f"(?<!{EDGE})(?P<id>{spelled})(?!{EDGE})"
        if not self.telling:
            named = "|".join(sorted(map(re.escape, self.names)))
            word = rf'(?<!{EDGE})(?:{named})\\?["\']?\s*[:=]\s*\\?["\']?(?P<id>{spelled})(?!{EDGE})'
        return re.compile(word.encode())

    def within(self, text: str | bytes | None) -> bool:
        """Whether a text has the id."""
        said = text.encode() if isinstance(text, str) else text
        return said is not None and self.pattern.search(said) is not None

    def rows(self, table: pa.Table) -> NDArray[np.bool_]:
        """Rows of a table that are the entity's: a column of its names holds the id, or a text has it."""
        found = np.zeros(len(table), dtype=bool)
        for name, column in zip(table.column_names, table.columns, strict=True):
            found |= self._cells(name, column)
        return found

    def _cells(self, name: str, column: pa.ChunkedArray) -> NDArray[np.bool_]:
        values = _texts(column)
        if values is None:
            return np.zeros(len(column), dtype=bool)
        near: NDArray[np.bool_] = np.asarray(pc.fill_null(pc.match_substring(values, self.id), False), dtype=bool)
        if name in self.names:
            return np.asarray(pc.fill_null(pc.equal(values, self.id), False), dtype=bool)
        found = np.zeros(len(column), dtype=bool)
        for at in np.flatnonzero(near) if self.telling or pa.types.is_string(column.type) else ():
            found[at] = self.within(values[int(at)].as_py())
        return found


def subject(entity: str, given: str, more: Iterable[str] = ()) -> Subject:
    """The entity of a column, with what its models and their log call it."""
    names = {entity, *more}
    for spec in model_specs():
        if spec.entity == entity:
            names |= {"customer"} if spec.ranks else {"event"}
    return Subject(entity, given, frozenset(names))


def _texts(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """The cells as texts; None where they are no texts and no whole numbers."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _texts(column.cast(kind.value_type))
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        texts = [value.decode("utf8", "replace") if value is not None else None for value in column.to_pylist()]
        return pa.chunked_array([pa.array(texts, pa.string())])
    if pa.types.is_nested(kind):
        said = [None if value is None else json.dumps(value, default=str) for value in column.to_pylist()]
        return pa.chunked_array([pa.array(said, pa.string())])
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind):
        return column.cast(pa.string())
    return None
