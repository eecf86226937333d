"""Counting what is really in the lake, for a check that does not take ingestion's word for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq

from ml_assets.ingestion.publish import part


def count_rows(lake: Path, table: str, days: Sequence[date]) -> tuple[int, int]:
    """Rows in the published files of these days of a table, and of its quarantine.

    Raises:
        FileNotFoundError: when one of the days was never published.
    """
    good, bad = (
        sum(pq.read_metadata(part(lake, name, day)).num_rows for day in days) for name in (table, f"{table}_quarantine")
    )
    return good, bad
