"""What a person says about a file: who, when, what, which task."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

TASKS = ("binary", "regression")


@dataclass(frozen=True)
class Wanted:
    """The answers.

    Attributes:
        file: the Parquet or CSV file.
        name: of the model.
        entities: columns that features are about: join keys.
        time: column with the moment of the prediction.
        label: column to predict.
        task: `binary` or `regression`.
        positive: value of a binary label that counts as 1, where that is not plain.
        known_after: columns known only after the event.
        event: column that identifies an event; none: looked for.
        source: name of the source; none: that of the file.
        time_format: how texts say times, where that is not plain.
        horizon_days: days after which the label is known.
    """

    file: Path
    name: str
    entities: tuple[str, ...]
    time: str
    label: str
    task: str
    positive: str | None = None
    known_after: tuple[str, ...] = ()
    event: str | None = None
    source: str | None = None
    time_format: str | None = None
    horizon_days: int = 1
