"""What a kind of source has to offer: what there is now, and the next piece after a position."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ml_assets.config.references import References
from ml_assets.ingestion.connectors.days import Days
from ml_assets.ingestion.connectors.journal import Batch, Journal


class UnreachableError(Exception):
    """The source did not answer, or broke off; the same piece may be asked for again."""


@dataclass(frozen=True)
class LandingContext:
    """Where one landing of a table works.

    Attributes:
        where: the source's place in the YAML, for errors.
        references: resolves `${NAME}` and masks secrets.
        days: says to which day a row belongs.
        journal: what has landed before.
    """

    where: str
    references: References
    days: Days
    journal: Journal

    @property
    def staging(self) -> Path:
        """Folder for the files of the next piece."""
        return self.journal.staging


class Connector(Protocol):
    """One open source. Whatever it raises as `UnreachableError` leads to `reset` and another try."""

    def head(self) -> str:
        """What the source has now, as a short text that changes when something arrives; cheap."""
        ...

    def next_batch(self, position: Mapping[str, str]) -> Batch | None:
        """Write the files of the next piece after the position, or None at the end."""
        ...

    def reset(self) -> None:
        """Let go of connections."""
        ...
