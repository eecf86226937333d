"""The one error ingestion raises: what is wrong, in which file and column, and what to do about it."""

from __future__ import annotations

from pathlib import Path


class IngestionError(Exception):
    """A source that cannot be ingested; nothing of the run was published.

    Attributes:
        problem: what is wrong.
        file: the file it is wrong in, where there is one.
        column: the column it is wrong in, where there is one.
        remedy: what to do.
    """

    def __init__(self, problem: str, *, file: Path | str | None = None, column: str | None = None, remedy: str) -> None:
        self.problem = problem
        self.file = None if file is None else str(file)
        self.column = column
        self.remedy = remedy
        where = "" if file is None else f"{file}: "
        super().__init__(f"{where}{problem}. Nothing was published. Remedy: {remedy}.")
