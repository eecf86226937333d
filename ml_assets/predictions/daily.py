"""The daily tables: a day's answers, shown products with outcomes, and refusals, swapped in as one.

`<model_home>/predictions/event_day=YYYY-MM-DD` is a link to the version of the day that counts; versions are
named by their content. Replacing the link is one rename, so a day is never missing and never half new.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml_assets.files import sha256_file
from ml_assets.learning.spec import ModelSpec
from ml_assets.predictions.kinds import NO_DAYS, DayKind, kind_of
from ml_assets.predictions.labels import newly_labelled
from ml_assets.predictions.merge import Merged, merge_day
from ml_assets.predictions.parts import Kind, rows_in
from ml_assets.predictions.reading import connect, scan
from ml_assets.registry.lock import file_lock
from ml_assets.settings import Settings

KEPT_SECONDS = 3600.0
"""A replaced version stays this long for those who still read it."""


@dataclass(frozen=True)
class DayTable:
    """A published day.

    Attributes:
        day: the day, of the answers' `time`.
        path: folder of its tables.
        predictions: answers, those that nobody saw (shadow) included.
        shown: what these answers scored: products, or the event itself.
        outcomes: of these, how many were clicked (used in any way), carted and purchased; of events, how many the
            caller named, and how many of them have a label by now.
        refusals: requests that were not answered with 200.
        duplicates: lines of an answer that another line had said before.
    """

    day: date
    path: Path
    predictions: int
    shown: int
    outcomes: Mapping[str, int]
    refusals: int
    duplicates: int


def predictions_home(settings: Settings, model: str) -> Path:
    """Folder of the daily tables."""
    return settings.model_home(model) / "predictions"


def day_folder(settings: Settings, model: str, day: date) -> Path:
    """Where a day's `predictions.parquet`, `shown.parquet` and `refusals.parquet` are once it is published."""
    return predictions_home(settings, model) / f"event_day={day.isoformat()}"


def publish_day(settings: Settings, spec: ModelSpec, day: date) -> DayTable:
    """Publish what is collected of a day, with the outcomes known by now; the same again changes nothing.

    Raises:
        ml_assets.warehouse.WarehouseError: when outcomes are to come from tables that cannot be read.
        FileExistsError: when something else has written to the day's place.
    """
    home = predictions_home(settings, spec.name)
    link = day_folder(settings, spec.name, day)
    versions = home / ".versions" / link.name
    with file_lock(home / ".lock"), _aside(versions) as folder, connect(settings, home) as connection:
        merged = merge_day(connection, settings, spec, day, folder)
        version = _keep(folder, versions)
        _point(link, version)
        _sweep(home)
    return _described(day, link, merged, kind_of(spec))


def due_again(settings: Settings, spec: ModelSpec, first: date) -> list[date]:
    """Published days before `first` whose outcomes may be others by now, ascending: publish them again.

    Of lists those whose outcomes are not complete yet; of events those of which the spine knows other labels.

    Raises:
        ml_assets.warehouse.WarehouseError: when the labels are in tables that cannot be read.
    """
    reach = spec.delay_days if spec.ranks else spec.delay_days + spec.monitoring.drift.reference_days
    days = [first - timedelta(days=number) for number in range(reach, 0, -1)]
    there = [day for day in days if day_folder(settings, spec.name, day).exists()]
    if spec.ranks or not there:
        return there
    return [day for day in there if _newly_labelled(settings, spec, day)]


def _newly_labelled(settings: Settings, spec: ModelSpec, day: date) -> bool:
    with open_days(settings, spec.name, [day]) as connection:
        return newly_labelled(connection, settings, spec)


def days_with_traffic(settings: Settings, model: str, start: date, end: date) -> list[date]:
    """Published days from `start` to `end` (both included) that have answers, ascending."""
    days = (start + timedelta(days=number) for number in range((end - start).days + 1))
    return [day for day in days if _answers(day_folder(settings, model, day))]


def open_days(settings: Settings, model: str, days: Sequence[date]) -> duckdb.DuckDBPyConnection:
    """A connection with the views `predictions`, `shown` and `refusals` over these days.

    Days that are not published have no rows. A column that a day does not have is null there. The views stay
    on the versions published now, which are kept for an hour after they were replaced.
    """
    home = predictions_home(settings, model)
    folders = [day_folder(settings, model, day).resolve() for day in sorted(set(days))]
    published = [folder for folder in folders if folder.is_dir()]
    connection = connect(settings, home)
    for kind, schema in NO_DAYS.items():
        source = scan(connection, [folder / f"{kind}.parquet" for folder in published], schema)
        connection.execute(f"create temp view {kind} as select * from {source}")
    return connection


def _answers(folder: Path) -> int:
    path = folder / f"{Kind.PREDICTIONS}.parquet"
    return rows_in(path) if path.exists() else 0


@contextmanager
def _aside(versions: Path) -> Iterator[Path]:
    """A folder to write a version to; what killed runs left is removed."""
    for left in versions.glob(".*.tmp"):
        shutil.rmtree(left, ignore_errors=True)
    folder = versions / f".{uuid.uuid4().hex}.tmp"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _keep(folder: Path, versions: Path) -> Path:
    """Name a written version by its content."""
    files = sorted(folder.iterdir())
    for path in files:
        with path.open("rb") as written:
            os.fsync(written.fileno())
    content = "".join(f"{path.name} {sha256_file(path)}\n" for path in files)
    version = versions / hashlib.sha256(content.encode()).hexdigest()[:16]
    if not version.exists():
        folder.rename(version)
    return version


def _point(link: Path, version: Path) -> None:
    if link.is_dir() and not link.is_symlink():
        raise FileExistsError(
            f"{link} is a folder, not a link to a published day: something else wrote it, move it away"
        )
    before = link.resolve()
    if before == version.resolve():
        return
    aside = link.with_name(f".{link.name}.{uuid.uuid4().hex}.tmp")
    aside.symlink_to(version.relative_to(link.parent))
    if before.is_dir():
        os.utime(before)  # its last hour begins
    aside.replace(link)


def _sweep(home: Path) -> None:
    """Remove versions that were replaced long ago, and links that a killed run did not put in place."""
    for left in home.glob(".event_day=*.tmp"):
        left.unlink()
    for versions in (home / ".versions").iterdir():
        counts = (home / versions.name).resolve()
        for version in versions.iterdir():
            old = time.time() - version.stat().st_mtime > KEPT_SECONDS
            if old and version != counts and not version.name.startswith("."):
                shutil.rmtree(version, ignore_errors=True)


def _described(day: date, path: Path, merged: Merged, kind: DayKind) -> DayTable:
    rows = pq.read_table(path / f"{Kind.SHOWN}.parquet", columns=list(kind.counted.values()))
    return DayTable(
        day=day,
        path=path,
        predictions=merged.predictions,
        shown=merged.shown,
        outcomes={name: _count(rows[column]) for name, column in kind.counted.items()},
        refusals=merged.refusals,
        duplicates=merged.duplicates,
    )


def _count(column: pa.ChunkedArray) -> int:
    """Values that are true, or known where they are no truth values."""
    return int(pc.sum(column).as_py() or 0) if pa.types.is_boolean(column.type) else len(column) - column.null_count
