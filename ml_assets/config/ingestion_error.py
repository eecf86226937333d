"""The one error ingestion raises: what is wrong, in which file and column, and what to do about it."""

from __future__ import annotations

from pathlib import Path

DELIVER_AGAIN = "deliver the file again (written aside, then renamed into place), and run the day again"


class IngestionError(Exception):
    """A source, or a day of it, that cannot be ingested; nothing of it was published.

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
        super().__init__(f"{self._where}{problem}. Nothing was published. Remedy: {remedy}.")

    @property
    def line(self) -> str:
        """File, problem and remedy, as a part of a longer text."""
        return f"{self._where}{self.problem}; {self.remedy}"

    @property
    def _where(self) -> str:
        return "" if self.file is None else f"{self.file}: "
