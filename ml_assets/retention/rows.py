"""Parquet files without some of their rows: batch by batch, so that a large one fits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

Drop = Callable[[pa.Table], NDArray[np.bool_]]
"""Which rows of a table go: bool[n]."""
BATCH_ROWS = 100_000


def every(table: pa.Table) -> NDArray[np.bool_]:
    """All of them."""
    return np.ones(len(table), dtype=bool)


def none(table: pa.Table) -> NDArray[np.bool_]:
    """None of them."""
    return np.zeros(len(table), dtype=bool)


def without(source: Path, target: Path, drop: Drop) -> int:
    """Write the rows of `source` that are not dropped to `target`, and return how many were; none: nothing is written.

    Schema, metadata and order stay.
    """
    with pq.ParquetFile(source) as opened:
        if not any(drop(batch).any() for batch in batches(opened)):
            return 0
        removed = 0
        with pq.ParquetWriter(target, opened.schema_arrow, compression="zstd") as writer:
            for batch in batches(opened):
                gone = drop(batch)
                removed += int(gone.sum())
                writer.write_table(batch.filter(pa.array(~gone)), row_group_size=BATCH_ROWS)
    return removed


def batches(opened: pq.ParquetFile) -> Iterator[pa.Table]:
    """The rows of a file in tables that fit into memory."""
    return (pa.Table.from_batches([batch]) for batch in opened.iter_batches(BATCH_ROWS))
