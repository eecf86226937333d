"""Rows that no contract should let through: every kind, on purpose, with the truth kept for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum

import numpy as np
import pyarrow as pa

from ml_assets.simulation.randomness import Ints

MAX_GENUINE_PRICE = 2_000.0
"""No clean row has a higher unit price; absurd ones start at 70,000."""
MAX_GENUINE_QUANTITY = 12
"""No clean row has a higher quantity; absurd ones start at 200,000."""
MAX_GENUINE_DELAY_DAYS = 3
"""No clean row arrives later; rows that are too late are at least ten days old."""


class FaultKind(StrEnum):
    """Why a row is unusable."""

    WRONG_TYPE = "wrong_type"  # a number or time that cannot be read
    MISSING = "missing"  # a required value is null
    OUT_OF_RANGE = "out_of_range"  # zero or negative quantity, negative price
    UNKNOWN_EVENT_TYPE = "unknown_event_type"
    OUTLIER = "outlier"  # absurd price or quantity
    UNKNOWN_PRODUCT = "unknown_product"  # not in the catalogue
    DUPLICATE = "duplicate"  # the same row a second time, same event_id
    FUTURE = "future"  # happens after the day of its file
    TOO_LATE = "too_late"  # ten days or more before the day of its file


EVENT_FAULTS = tuple(FaultKind)
PRODUCT_FAULTS = (
    FaultKind.WRONG_TYPE,
    FaultKind.MISSING,
    FaultKind.OUT_OF_RANGE,
    FaultKind.OUTLIER,
    FaultKind.DUPLICATE,
    FaultKind.FUTURE,
)
Edit = tuple[str, str | None]
Damage = Callable[[np.random.Generator, datetime], Edit]


def _one_of(rng: np.random.Generator, *options: Edit) -> Edit:
    return options[int(rng.integers(len(options)))]


def _moved(rng: np.random.Generator, day: datetime, low: int, high: int) -> str:
    return (day + timedelta(days=int(rng.integers(low, high)), seconds=int(rng.integers(86_400)))).isoformat()


_EVENT_DAMAGE: Mapping[FaultKind, Damage] = {
    FaultKind.WRONG_TYPE: lambda rng, _: _one_of(
        rng, ("quantity", "two"), ("price", "n/a"), ("price", "12,5O"), ("ts", "yesterday")
    ),
    FaultKind.MISSING: lambda rng, _: _one_of(
        rng, *((c, None) for c in ("event_id", "ts", "customer_id", "product_id", "event_type", "price"))
    ),
    FaultKind.OUT_OF_RANGE: lambda rng, _: _one_of(
        rng, ("quantity", "0"), ("quantity", "-1"), ("price", "-4.99"), ("price", "-0.01")
    ),
    FaultKind.UNKNOWN_EVENT_TYPE: lambda rng, _: _one_of(
        rng, ("event_type", "wishlist"), ("event_type", "VIEW?"), ("event_type", "refund")
    ),
    FaultKind.OUTLIER: lambda rng, _: _one_of(
        rng,
        ("price", f"{rng.integers(70_000, 95_000)}.00"),
        ("quantity", str(rng.integers(200_000, 2_000_000))),
    ),
    FaultKind.UNKNOWN_PRODUCT: lambda rng, _: ("product_id", f"P{rng.integers(90_000, 99_999):05d}"),
    FaultKind.FUTURE: lambda rng, day: ("ts", _moved(rng, day, 2, 60)),
    FaultKind.TOO_LATE: lambda rng, day: ("ts", _moved(rng, day, -60, -10)),
}
_PRODUCT_DAMAGE: Mapping[FaultKind, Damage] = {
    FaultKind.WRONG_TYPE: lambda rng, _: _one_of(rng, ("price", "free"), ("changed_at", "today")),
    FaultKind.MISSING: lambda rng, _: _one_of(
        rng, ("product_id", None), ("price", None), ("category", None), ("changed_at", None)
    ),
    FaultKind.OUT_OF_RANGE: lambda rng, _: ("price", f"-{rng.integers(1, 99)}.00"),
    FaultKind.OUTLIER: lambda rng, _: ("price", f"{rng.integers(200_000, 2_000_000)}.00"),
    FaultKind.FUTURE: lambda rng, day: ("changed_at", _moved(rng, day, 2, 60)),
}
_FAULTS_SCHEMA = pa.schema([("row", pa.int64()), ("kind", pa.string())])


def damage_events(table: pa.Table, share: float, day: datetime, rng: np.random.Generator) -> tuple[pa.Table, pa.Table]:
    """Damage rows in place (duplicates are added at the end), about `share` of the result.

    Returns:
        The damaged table, and (row, kind) of every unusable row in it.
    """
    kinds = _draw_kinds(EVENT_FAULTS, table.num_rows, share, rng)
    rows = rng.permutation(table.num_rows)[: len(kinds)]
    repeated = [int(r) for r, k in zip(rows, kinds, strict=True) if k is FaultKind.DUPLICATE]
    broken = [(int(r), k) for r, k in zip(rows, kinds, strict=True) if k is not FaultKind.DUPLICATE]
    damaged = _edited(table, [(r, *_EVENT_DAMAGE[k](rng, day)) for r, k in broken])
    added = [(table.num_rows + n, FaultKind.DUPLICATE) for n in range(len(repeated))]
    return _with_copies(damaged, repeated), _truth(broken + added)


def damage_catalogue(
    table: pa.Table, share: float, day: datetime, rng: np.random.Generator
) -> tuple[pa.Table, pa.Table]:
    """Add damaged copies of rows at the end, so that no product is lost to the shop.

    Returns:
        The longer table, and (row, kind) of every unusable row in it.
    """
    kinds = _draw_kinds(PRODUCT_FAULTS, table.num_rows, share, rng)
    rows = rng.permutation(table.num_rows)[: len(kinds)].tolist()
    added = [(table.num_rows + n, kind) for n, kind in enumerate(kinds)]
    edits = [(r, *_PRODUCT_DAMAGE[k](rng, day)) for r, k in added if k is not FaultKind.DUPLICATE]
    return _edited(_with_copies(table, rows), edits), _truth(added)


def _draw_kinds(kinds: tuple[FaultKind, ...], rows: int, share: float, rng: np.random.Generator) -> list[FaultKind]:
    """All kinds in turn from a random one on; the count is rounded at random: right on average."""
    count = min(rows, int(rows * share + rng.random()))
    first = int(rng.integers(len(kinds)))
    return [kinds[(first + n) % len(kinds)] for n in range(count)]


def _with_copies(table: pa.Table, rows: list[int]) -> pa.Table:
    return pa.concat_tables([table, table.take(pa.array(rows, pa.int64()))]).combine_chunks()


def _edited(table: pa.Table, edits: list[tuple[int, str, str | None]]) -> pa.Table:
    for column in sorted({column for _, column, _ in edits}):
        mine = {row: value for row, name, value in edits if name == column}
        source = np.arange(table.num_rows)
        source[list(mine)] = table.num_rows + np.arange(len(mine))
        longer = pa.chunked_array([*table[column].chunks, pa.array(list(mine.values()), pa.string())])
        index = table.schema.get_field_index(column)
        table = table.set_column(index, column, longer.take(pa.array(source)).combine_chunks())
    return table


def _truth(faults: list[tuple[int, FaultKind]]) -> pa.Table:
    rows: Ints = np.array([row for row, _ in faults], dtype=np.int64)
    return pa.table([pa.array(rows), pa.array([k.value for _, k in faults], pa.string())], schema=_FAULTS_SCHEMA)
