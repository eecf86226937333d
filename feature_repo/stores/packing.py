"""From Arrow tables to packed rows, column by column: no Python object per value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from feature_repo.stores.packed import MISSING, Layout, WideTable

CHUNK = 50_000


@dataclass(frozen=True)
class Packed:
    """n rows ready to be written: a list of n texts per join key, n event times (unix microseconds), n rows."""

    keys: list[list[str]]
    times: list[int]
    rows: list[bytes]


def pack_table(table: WideTable, rows: pa.Table, timestamp: str) -> Iterator[Packed]:
    """The rows of an Arrow table (keys, features, event timestamp column `timestamp`), some at a time."""
    for start in range(0, rows.num_rows, CHUNK):
        chunk = rows.slice(start, CHUNK)
        times = event_micros(chunk[timestamp])
        yield Packed([texts(chunk[key]) for key in table.keys], times.tolist(), _packed(table, chunk, times))


def _packed(table: WideTable, chunk: pa.Table, times: NDArray[np.int64]) -> list[bytes]:
    layout, kinds = table.layout, dict(table.features)
    words = np.empty((chunk.num_rows, layout.size // 8), "<i8")
    words[:, 0] = times
    for place, name in enumerate(layout.whole, 1):
        words[:, place] = _whole(chunk[name], kinds[name])
    floats = words.view("<f8")
    for place, name in enumerate(layout.floats, 1 + len(layout.whole)):
        floats[:, place] = pc.cast(chunk[name], pa.float64()).to_numpy()  # null becomes NaN
    return _with_texts(layout, chunk, words)


def _with_texts(layout: Layout, chunk: pa.Table, words: NDArray[np.int64]) -> list[bytes]:
    tails = [pc.cast(chunk[name], pa.binary()) for name in layout.texts]
    for place, column in enumerate(tails, 1 + len(layout.numbers)):
        words[:, place] = pc.fill_null(pc.binary_length(column), -1).to_numpy()
    joined, size = words.tobytes(), layout.size
    rows = [joined[at : at + size] for at in range(0, len(joined), size)]
    for column in tails:
        rows = [row + text for row, text in zip(rows, pc.fill_null(column, b"").to_pylist(), strict=True)]
    return rows


def _whole(column: pa.ChunkedArray, kind: str) -> NDArray[np.int64]:
    if kind == "timestamp":
        micros = pc.cast(in_micros(column), pa.int64())
        seconds: NDArray[np.int64] = pc.fill_null(micros, 0).to_numpy() // 1_000_000  # towards the past
        return np.where(pc.is_null(micros).to_numpy(), MISSING, seconds)
    return np.asarray(pc.fill_null(pc.cast(column, pa.int64()), MISSING).to_numpy())


def texts(column: pa.ChunkedArray) -> list[str]:
    """Values of a key column as texts; a whole number is written without a point.

    Raises:
        pyarrow.ArrowInvalid: when a column of floats has other numbers: they are no keys.
    """
    if pa.types.is_floating(column.type):
        column = pc.cast(column, pa.int64())
    return list(pc.cast(column, pa.string()).to_pylist())


def event_micros(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Event timestamps as unix microseconds."""
    return np.asarray(pc.cast(in_micros(column), pa.int64()).to_numpy())


def in_micros(column: pa.ChunkedArray) -> Any:
    """Timestamps of any unit, zone or date type as UTC microseconds (finer digits are cut)."""
    return pc.cast(column, pa.timestamp("us", tz=getattr(column.type, "tz", None)), safe=False)
