"""The daily tables: a day's answers, shown products with outcomes, and refusals, swapped in as one.

`<model_home>/predictions/event_day=YYYY-MM-DD` is a link to the version of the day that counts; versions are
named by their content. Replacing the link is one rename, so a day is never missing and never half new.
"""

from __future__ import annotations

import hashlib
import math
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.prediction_log.kinds import NO_DAYS, DayKind, kind_of
from ml_assets.prediction_log.labels import newly_labelled
from ml_assets.prediction_log.merge import Merged, inputs_of, late_parts, merge_day
from ml_assets.prediction_log.partitions import Kind, parts_home, pruned_inputs, rows_in, select, walk_parts
from ml_assets.prediction_log.reading import connect, scan
from ml_assets.storage.file_lock import file_lock
from ml_assets.storage.files import sha256_file, sync, sync_tree

KEPT_SECONDS = 3600.0
"""A replaced version stays this long for those who still read it."""
LATE_DAYS = 7
"""Days back for which answers are looked for that were collected late."""


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
        ml_assets.storage.warehouse.WarehouseError: when outcomes are to come from tables that cannot be read.
        FileExistsError: when something else has written to the day's place.
        FileNotFoundError: when the day cannot be made again, as what it was made from was pruned.
    """
    home = predictions_home(settings, spec.name)
    link = day_folder(settings, spec.name, day)
    if gone := pruned_inputs(parts_home(settings, spec.name), inputs_of(link)):
        raise FileNotFoundError(
            f"{link}: {len(gone)} parts that it was made from were pruned, as ML_ASSETS_KEEP says: it stays as it is; "
            "leave the day out"
        )
    versions = home / ".versions" / link.name
    with file_lock(home / ".lock"), _aside(versions) as folder, connect(settings, home) as connection:
        merged = merge_day(connection, settings, spec, day, folder)
        version = _keep(folder, versions)
        _point(link, version)
        _sweep(home)
    return _described(day, link, merged, kind_of(spec))


def due_again(settings: Settings, spec: ModelSpec, first: date) -> list[date]:
    """Days before `first` whose tables may be others by now, ascending: publish them again.

    Those that got answers since, as far back as these may come late; besides, of lists those whose outcomes are not
    complete yet, of events those of which the spine knows other labels.

    Raises:
        ml_assets.storage.warehouse.WarehouseError: when the labels are in tables that cannot be read.
    """
    reach = spec.delay_days if spec.ranks else spec.delay_days + spec.monitoring.drift.reference_days
    days = [first - timedelta(days=number) for number in range(max(reach, _late_days(spec)), 0, -1)]
    late = _with_late_answers(settings, spec.name, days)
    there = [day for day in days if day_folder(settings, spec.name, day).exists()]
    return [day for day in days if day in late or (day in there and _other_outcomes(settings, spec, day, first, reach))]


def _late_days(spec: ModelSpec) -> int:
    """How many days back the answers may be that are collected now: of old messages, or after an error of the disk."""
    streaming = spec.serving.streaming
    return max(LATE_DAYS, 0 if streaming is None else math.ceil(streaming.max_age / timedelta(days=1)) + 1)


def _with_late_answers(settings: Settings, model: str, days: Sequence[date]) -> set[date]:
    home = parts_home(settings, model)
    files, late = walk_parts(home), set()
    for day in days:
        start = datetime.combine(day, datetime.min.time())
        today = select(files, Kind.PREDICTIONS, start, start + timedelta(days=1))
        if late_parts(home, day_folder(settings, model, day), today):
            late.add(day)
    return late


def _other_outcomes(settings: Settings, spec: ModelSpec, day: date, first: date, reach: int) -> bool:
    if day < first - timedelta(days=reach):
        return False
    return spec.ranks or _newly_labelled(settings, spec, day)


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
    content = "".join(f"{path.name} {sha256_file(path)}\n" for path in files)
    version = versions / hashlib.sha256(content.encode()).hexdigest()[:16]
    if not version.exists():
        sync_tree(folder)
        folder.rename(version)
        sync(versions)
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
    sync(link.parent)


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
