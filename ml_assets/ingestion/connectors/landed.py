"""What lies in a landing folder against what its journal says has landed: a day that lost files is no empty day."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from functools import lru_cache
from pathlib import Path

from ml_assets.config.ingestion_error import IngestionError
from ml_assets.ingestion.connectors.journal import Journal
from ml_assets.storage.files import sha256_file

Stamp = tuple[int, ...]
"""Size in bytes, modification and change time in nanoseconds: another one means that the file was written again."""


def stamp_of(path: Path) -> Stamp:
    """The stamp of a file; whoever keeps the modification time of a copy cannot keep the change time."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def remembered_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes; not computed again while its size and time are the same: sensors ask all day."""
    return _sha256(path, stamp_of(path))


@lru_cache(maxsize=50_000)
def _sha256(path: Path, stamp: Stamp) -> str:
    return sha256_file(path)


def check_landed(table: str, journal: Journal, days: Sequence[date], found: Iterable[Path]) -> None:
    """Compare the files of landed days, by name and content, with the journal.

    Raises:
        IngestionError: when a file is missing, has other bytes, or is one that no landing brought.
    """
    noted = {journal.folder / day / name: hashes for (day, name), hashes in journal.landed(days).items()}
    missing = [path for path in noted if not path.exists()]
    changed = [path for path in noted if path.exists() and remembered_sha256(path) not in noted[path]]
    known = noted.keys() | {journal.folder / day / name for day, name in journal.waiting()}
    foreign = [path for path in found if path not in known]
    wrong = ((missing, "gone"), (changed, "changed since it landed"), (foreign, "there, but no landing brought it"))
    for paths, what in wrong:
        if paths:
            others = f" (and so are {len(paths) - 1} more, to {paths[-1].parent.name})" if len(paths) > 1 else ""
            problem = f"a landed file of {table} of {paths[0].parent.name} is {what}{others}"
            remedy = (
                f"put back what the journal names, e.g. from a backup; or move {journal.folder} away, "
                "and the job `land` lands everything anew that the source still has"
            )
            raise IngestionError(problem, file=paths[0], remedy=remedy)
