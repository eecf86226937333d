"""Counting what is really in the lake, for a check that does not take ingestion's word for it."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow.parquet as pq

from ml_assets.ingestion.ledger import days_between
from ml_assets.ingestion.publish import part


def count_rows(lake: Path, table: str, start: date, end: date) -> tuple[int, int]:
    """Rows in the published files of a table and of its quarantine, for the days `start` to `end` inclusive.

    Raises:
        FileNotFoundError: when a day of the range was never published.
    """
    days = days_between(start, end)
    good, bad = (
        sum(pq.read_metadata(part(lake, name, day)).num_rows for day in days) for name in (table, f"{table}_quarantine")
    )
    return good, bad
