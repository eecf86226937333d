"""The definition of a point-in-time join, by looking at every source row for every entity row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hypothesis import strategies as st

KEYS = st.sampled_from(["a", "a", "a", "b", None])
TIMES = st.integers(0, 6)
JOINED_ON = st.sampled_from([("x",), ("y",), ("x", "y"), ()])


@dataclass(frozen=True)
class Row:
    """A row of a source: its keys, when it became valid and known (None: nothing says), its values."""

    keys: tuple[str | None, ...]
    valid: int | None
    created: int | None
    values: tuple[int | None, ...]

    def order(self) -> tuple[tuple[bool, int], ...]:
        """For comparing rows equal in key and both times column by column; null is greatest."""
        return tuple((each is None, each or 0) for each in (self.created, *self.values))


@dataclass(frozen=True)
class View:
    """What is asked of a source: joined on the entity rows' columns `on`; `ttl` None: values never expire."""

    on: tuple[str, ...]
    rows: tuple[Row, ...]
    ttl: int | None = None
    created: bool = False
    corrections: bool = True
    width: int = 2


def answer(view: View, asked: Mapping[str, str | None], moment: int | None) -> tuple[int | None, ...]:
    """The values of the newest row of the keys that was valid and known at the moment; nulls if there is none."""
    nothing = (None,) * view.width
    keys = tuple(asked[name] for name in view.on)
    if moment is None or None in keys:
        return nothing
    shown = [row for row in view.rows if row.keys == keys and _shown(view, row, moment)]
    if not shown:
        return nothing
    newest = max(shown, key=lambda row: (row.valid, _known(view, row), row.order()))
    return nothing if view.ttl is not None and moment - newest.valid > view.ttl else newest.values


def _known(view: View, row: Row) -> int | None:
    return row.valid if row.created is None or not view.created else row.created


def _shown(view: View, row: Row, moment: int) -> bool:
    if row.valid is None or row.valid > moment:
        return False
    return not view.corrections or _known(view, row) <= moment


def answers(view: View, asked: Sequence[tuple[Mapping[str, str | None], int | None]]) -> list[tuple[int | None, ...]]:
    """The answer for each entity row, in order."""
    return [answer(view, keys, moment) for keys, moment in asked]


@st.composite
def views(draw, on=JOINED_ON) -> View:
    """Few keys and moments, so that ties, late corrections and expired values are common; rows repeat."""
    names = draw(on)
    values = st.tuples(*[st.none() | st.integers(0, 3)] * 2)
    row = st.builds(Row, st.tuples(*[KEYS] * len(names)), TIMES | TIMES | st.none(), TIMES | st.none(), values)
    rows = draw(st.lists(row, max_size=4) | st.lists(row, min_size=4, max_size=12))
    twice = draw(st.lists(st.sampled_from(rows), max_size=3)) if rows else []
    bare = View(names, tuple(rows + twice), draw(st.sampled_from([None, None, 1, 3])))
    return replace(bare, created=draw(st.booleans()), corrections=draw(st.booleans()))


@st.composite
def entity_rows(draw) -> list[tuple[dict[str, str | None], int | None]]:
    """Entity rows with keys `x` and `y`, none up to ten, often the same one again."""
    one = st.tuples(st.fixed_dictionaries({"x": KEYS, "y": KEYS}), TIMES | TIMES | st.none())
    rows = draw(st.lists(one, max_size=3) | st.lists(one, min_size=3, max_size=8))
    return rows + (draw(st.lists(st.sampled_from(rows), max_size=4)) if rows else [])
