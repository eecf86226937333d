"""Days that were asked for and could not be published: why, and of which files, so that these are not tried again.

`<lake>/_ledger/<table>.refused.json` has them until the day is published; what the lake had of them before stays.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from ml_assets.config.ingestion_error import IngestionError
from ml_assets.ingestion.connectors.addresses import SourceFile
from ml_assets.ingestion.connectors.landed import Stamp, stamp_of
from ml_assets.storage.files import write_text_atomically

SHOWN = 5


@dataclass(frozen=True)
class Refusal:
    """A day that could not be published.

    Attributes:
        day: the partition.
        text: file, problem and remedy in one line.
        stamps: raw file label -> its stamp; empty where the day has no file.
        contract: fingerprint of the table's spec.
        final: the same files would be refused again.
    """

    day: date
    text: str
    stamps: Mapping[str, Stamp]
    contract: str
    final: bool

    @classmethod
    def of(
        cls, day: date, error: IngestionError, files: Sequence[SourceFile], contract: str, *, final: bool
    ) -> Refusal:
        """What an error means for a day; a disk that cannot be read says nothing of the file."""
        cause = error.__cause__
        lasting = final and bool(files) and not (isinstance(cause, OSError) and cause.errno is not None)
        return cls(day, error.line, stamps_of(files), contract, lasting)

    def holds(self, files: Sequence[SourceFile], contract: str) -> bool:
        """Whether it is about exactly these files and this contract."""
        return self.final and self.contract == contract and self.stamps == stamps_of(files)


def stamps_of(files: Iterable[SourceFile]) -> dict[str, Stamp]:
    """The stamps of files that are there, by label."""
    return {file.label: stamp_of(file.path) for file in files if file.path.exists()}


def read_refusals(lake: Path, table: str) -> dict[date, Refusal]:
    """The days of a table that could not be published, in order."""
    path = _path(lake, table)
    found: dict[date, Refusal] = {}
    for said in json.loads(path.read_text()) if path.exists() else ():
        day, stamps = date.fromisoformat(said["day"]), {name: tuple(stamp) for name, stamp in said["stamps"].items()}
        found[day] = Refusal(**said | {"day": day, "stamps": stamps})
    return found


@dataclass(frozen=True)
class Unpublished:
    """Days of a range that were not published, whether the files of some were refused, and one line for people."""

    days: tuple[date, ...]
    failed: bool
    text: str


def unpublished(lake: Path, table: str, start: date, end: date) -> Unpublished:
    """The days of the inclusive range that could not be published when they were last asked for."""
    found = [refusal for day, refusal in read_refusals(lake, table).items() if start <= day <= end]
    if not found:
        return Unpublished((), False, f"{table}: every day from {start} to {end} was published")
    shown = " | ".join(f"{each.day}: {each.text}" for each in found[:SHOWN])
    more = f" | and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    days = "1 day" if len(found) == 1 else f"{len(found)} days"
    text = f"{table}: {days} from {start} to {end} not published, the others were; {shown}{more}"
    return Unpublished(tuple(each.day for each in found), any(each.stamps for each in found), text)


def note_refusals(lake: Path, table: str, days: Iterable[date], refused: Iterable[Refusal]) -> None:
    """Note what came of these days: those not refused were published."""
    before = read_refusals(lake, table)
    kept = {day: refusal for day, refusal in before.items() if day not in set(days)}
    kept |= {refusal.day: refusal for refusal in refused}
    if kept != before:
        said = json.dumps([asdict(kept[day]) for day in sorted(kept)], default=str, indent=1)
        path = _path(lake, table)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomically(path, said)


def _path(lake: Path, table: str) -> Path:
    return lake / "_ledger" / f"{table}.refused.json"
