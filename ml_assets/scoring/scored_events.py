"""Events on disk to predictions on disk, for binary and regression models: any file, killed and resumed.

The features are joined as of each event's time, or as of now, by the join that makes training sets; they are scored in
pieces. Every event gets what the live service would answer it: the same rules for requests, the same features, float32,
the same booster.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_repo.known import columns_by_key, known_by_key, unknown_keys
from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.datasets import fingerprint
from ml_assets.datasets.calendar import now_of
from ml_assets.datasets.code import data_code, version_of
from ml_assets.datasets.cutoffs import EVENT_TIMESTAMP
from ml_assets.datasets.labelled import REQUEST
from ml_assets.datasets.provenance import key_forms_of
from ml_assets.datasets.source_reading import reading_of
from ml_assets.registry.versions import VersionRef
from ml_assets.scoring.event_file import ID, columns_of, is_csv, write_entities
from ml_assets.scoring.pieces import (
    PIECE,
    Piece,
    check_features,
    join_parts,
    published,
    score_in_parts,
    work_folder,
)
from ml_assets.scoring.scored_file import UnfitFrameError, batches
from ml_assets.storage.files import replace_file
from ml_assets.storage.warehouse import connect

if TYPE_CHECKING:
    from feast import FeatureStore

FRAME = "frame.parquet"
UNKNOWN = "unknown"
"""Column of a result: the keys of which nothing is known, null where there are none."""
EVER = date.max


@dataclass(frozen=True)
class Scorer:
    """What predicts: a version of a binary or regression model, with the features of a deployment."""

    spec: ModelSpec
    settings: Settings
    store: FeatureStore
    ref: VersionRef


@dataclass(frozen=True)
class ScoredEvents:
    """What a file of events became.

    Attributes:
        path: Parquet in the file's order: id, time, `known`, `unknown`, `probability` or `value`.
        rows: events in it.
        rejected: the file of the rows that were not scored; none when all were.
        rows_rejected: how many those are.
        as_of: the moment of all events, where the file says no time (UTC, naive).
        unknown: by key, the events with one of which nothing is known.
        read_as: how a CSV file was read, for people; empty for Parquet.
    """

    path: Path
    rows: int
    rejected: Path | None
    rows_rejected: int
    as_of: datetime | None
    unknown: Mapping[str, int]
    read_as: str = ""


def score_events(
    by: Scorer,
    file: Path,
    out: Path,
    *,
    rows: int = PIECE,
    progress: Callable[[int, int], None] | None = None,
) -> ScoredEvents:
    """Predict the label of every event of a file.

    Memory is bounded by some pieces of `rows` rows, however many there are. What is finished is kept beside `out` until
    it is published: a killed run goes on there and ends with the same bytes.

    Args:
        by: what predicts.
        file: Parquet or CSV: id, join keys, request columns; the model's `time` where features as of then are meant,
            else those of now are. Keys of which nothing is known are answered, with `known` false.
        out: takes the predictions; what is no event goes to `<out>.rejected.parquet`.
        rows: rows of a piece.
        progress: called with (events done, events in all).

    Raises:
        FileNotFoundError: when there is no such file.
        UnfitFrameError: when the file as a whole cannot be scored; it names the columns.
        KeyError: when the features now defined lack one the version needs.
        WarehouseError: when there is no warehouse, or no data of the model in it.
    """
    from feature_repo.store import join_keys

    spec = by.spec
    keys, forms = join_keys(by.store, spec.feature_service), by.ref.key_forms or key_forms_of(spec)
    columns = columns_of(spec, keys, file, forms, reading_of(spec), bounds=by.ref.bounds)
    if out.exists() and out.samefile(file):
        raise UnfitFrameError(f"{file}: its predictions would replace it; name another file for them")
    check(by)
    moment = None if columns.time else now_of(spec, by.settings)
    read = [sorted((name, str(form)) for name, form in forms.items()), str(columns.source)]
    inputs = inputs_of(by, [_stamp(file), str(moment), rows, read])
    rejected = rejected_of(out)
    with work_folder(out, inputs) as work:
        if published(out, inputs) is None:
            entities, bad = work / "entities.parquet", work / "rejected.parquet"
            if not entities.exists():
                write_entities(file, columns, moment, entities, bad)
            _keep(bad, rejected)
            score_entities(by, entities, out, inputs, rows=rows, progress=progress)
    wrong = pq.read_metadata(rejected).num_rows if rejected.exists() else 0
    rejected_there = rejected if wrong else None
    read_as = columns.source.said(file) if is_csv(file) else ""
    return ScoredEvents(out, pq.read_metadata(out).num_rows, rejected_there, wrong, moment, count_unknown(out), read_as)


def check(by: Scorer) -> None:
    """Refuse to predict without a feature.

    Raises:
        KeyError: naming the features that the version needs and are not known.
    """
    from feature_repo.store import feature_names

    known = feature_names(by.store, by.spec.feature_service)
    check_features(by.ref, [*(REQUEST + name for name in by.spec.request_features), *known])


def score_entities(
    by: Scorer,
    entities: Path,
    out: Path,
    inputs: str,
    *,
    rows: int = PIECE,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Join the features onto entity rows, score them and publish `out`; what is finished stays beside `entities`.

    Args:
        by: what predicts.
        entities: as `event_file.write_entities` makes them.
        out: takes id, time, `known`, `unknown` (which keys nothing is known of), `probability` or `value`.
        inputs: content address of what `out` is made from.
        rows: rows of a piece.
        progress: called with (events done, events in all).

    Returns:
        The events in `out`.
    """
    from feature_repo.historical import training_frame
    from feature_repo.store import feature_names, keys_by_view

    service, joined = by.spec.feature_service, entities.with_name(FRAME)
    if not joined.exists():
        training_frame(by.store, service, entities, joined)
    total = pq.read_metadata(joined).num_rows
    views = keys_by_view(by.store, service)
    pieces = partial(pieces_of, joined, by.ref.features, feature_names(by.store, service), rows, views=views)

    def told(done: int) -> None:
        if progress:
            progress(done, total)

    parts = entities.with_name("parts")
    parts.mkdir(exist_ok=True)
    scored = score_in_parts(pieces, parts, by.ref, k=None, threads=by.settings.threads, progress=told)
    return join_parts(scored, out, inputs, _schema(by.spec))


def rejected_of(out: Path) -> Path:
    """Where the rows go that are no events."""
    return out.with_name(f"{out.stem}.rejected.parquet")


def count_unknown(out: Path) -> dict[str, int]:
    """By key, how many predictions of a file have one of which nothing is known."""
    counted: Counter[str] = Counter()
    with pq.ParquetFile(out) as opened:
        for batch in opened.iter_batches(columns=[UNKNOWN]):
            for each in pc.value_counts(batch[UNKNOWN].drop_null()).to_pylist():
                for key in each["values"].split(", "):
                    counted[key] += each["counts"]
    return dict(sorted(counted.items()))


def pieces_of(
    frame: Path,
    wanted: Sequence[str],
    joined: Sequence[str],
    rows: int,
    start: int,
    *,
    views: Mapping[str, Sequence[str]] | None = None,
) -> Iterator[Piece]:
    """The frame from row `start` on, `rows` rows at a time, however its row groups lie."""
    columns = list(dict.fromkeys([ID, EVENT_TIMESTAMP, *joined, *wanted]))
    for table in _even(batches(frame, columns, start, rows), rows):
        start += len(table)
        yield Piece(start, partial(loaded_piece, table, wanted, joined, views or {}))


def _even(found: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    for batch in found:
        held.append(batch)
        while sum(map(len, held)) >= rows:
            table = pa.Table.from_batches(held)
            yield table.slice(0, rows)
            held = table.slice(rows).to_batches()
    if held:
        yield pa.Table.from_batches(held)


def loaded_piece(
    table: pa.Table, wanted: Sequence[str], joined: Sequence[str], views: Mapping[str, Sequence[str]]
) -> tuple[pa.Table, pa.Table]:
    """Id, time and what is known of the keys; the features as the booster takes them.

    `views` has the keys of each view.
    """
    schema = pa.schema([(name, pa.float32()) for name in wanted])
    finite = [pc.fill_null(pc.is_finite(table[name]), False).to_numpy(zero_copy_only=False) for name in joined]
    there = np.column_stack([np.zeros((len(table), 0), dtype=bool), *finite])
    by_key = columns_by_key(joined, views)
    cases, case = np.unique(known_by_key(there, by_key), axis=0, return_inverse=True)
    lacking = [", ".join(unknown_keys(each, by_key)) or None for each in cases]
    said = table.select([ID, EVENT_TIMESTAMP]).append_column("known", pa.array(there.any(axis=1)))
    said = said.append_column(UNKNOWN, pa.array(lacking, pa.string()).take(pa.array(case)))
    return said, table.select(schema.names).cast(schema, safe=False)  # as the service rounds them


def _schema(spec: ModelSpec) -> pa.Schema:
    said = [(spec.entity, pa.string()), (spec.time, pa.timestamp("us"))]
    return pa.schema([*said, ("known", pa.bool_()), (UNKNOWN, pa.string()), (spec.says, pa.float64())])


def _keep(bad: Path, rejected: Path) -> None:
    """Publish the rows that are no events, if there are any."""
    if not pq.read_metadata(bad).num_rows:
        rejected.unlink(missing_ok=True)
        return
    with replace_file(rejected) as aside:
        shutil.copyfile(bad, aside)


def _stamp(file: Path) -> list[int]:
    found = file.stat()
    return [found.st_size, found.st_mtime_ns]


def inputs_of(by: Scorer, said: Sequence[object]) -> str:
    """Content address of a result: the version, the data its features come from, what was asked."""
    with connect(by.settings) as warehouse:
        data = fingerprint.data_versions(warehouse, by.spec, EVER)
    described = json.dumps([by.ref.version, data, *said, version_of(data_code(by.spec))], sort_keys=True)
    return hashlib.sha256(described.encode()).hexdigest()[:16]
