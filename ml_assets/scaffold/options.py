"""What a person says about a file: who, when, what, which task."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ml_assets.scaffold.errors import ScaffoldError
from ml_assets.scaffold.names import YAML, snake

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
        horizon_days: days after which the label is known; none: not said, taken as 1.
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
    horizon_days: int | None = None


def source_name(wanted: Wanted) -> str:
    """The source: as asked for, else as the file is called; a model and its source need two names."""
    if wanted.source is not None:
        return wanted.source
    found = snake(wanted.file.stem) or wanted.name
    found = found if found[0].isalpha() else f"data_{found}"
    return found if found != wanted.name else f"{found}_events"


def check(wanted: Wanted) -> None:
    """Refuse a task or a name that is none.

    Raises:
        ScaffoldError: saying what would do.
    """
    if wanted.task == "ranking":
        raise ScaffoldError(
            "rankings are made of a shop's events, not of a table: see docs/how-to/sources.md and shops/"
        )
    if wanted.task not in TASKS:
        raise ScaffoldError(f"--task {wanted.task}: binary or regression")
    for flag, name in (("--name", wanted.name), ("--source", wanted.source)):
        if name is not None and (not name or snake(name) != name or not name[0].isalpha() or name in YAML):
            raise ScaffoldError(f"{flag} {name!r}: lower-case letters, digits and _, e.g. {snake(name) or 'no_show'}")
    if wanted.source == wanted.name:
        raise ScaffoldError(f"--source {wanted.source}: a model and its source need two names")
    if wanted.horizon_days is not None and wanted.horizon_days < 1:
        raise ScaffoldError(f"--horizon-days {wanted.horizon_days}: 1 or more")
    if not wanted.entities:
        raise ScaffoldError("--entity: name at least one column that features are about")
