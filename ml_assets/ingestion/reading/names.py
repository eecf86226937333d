"""Names that the columns of a raw file may have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ml_assets.config.ingestion_error import DELIVER_AGAIN, IngestionError

RESERVED = ("_source", "_day", "_row", "_line", "_stray", "_path", "_raw", "_reasons", "_json", "_at")


def check_names(columns: Sequence[str], path: Path) -> None:
    """Refuse columns that cannot be told apart or named in SQL.

    Raises:
        IngestionError: naming the column.
    """
    if any("\0" in name for name in columns):
        problem = "this is no text file of columns: there are zero bytes in its first line"
        raise IngestionError(problem, file=path, remedy=DELIVER_AGAIN)
    lowered = [name.strip().lower() for name in columns]
    for name, low in zip(columns, lowered, strict=True):
        why = "has no name" if not low else "appears twice" if lowered.count(low) > 1 else None
        why = "has a name that is reserved here" if low in RESERVED else why
        if why is not None:
            raise IngestionError(f"a column {why}: {name!r}", file=path, column=name, remedy="rename it in the file")
