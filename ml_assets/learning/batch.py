"""Batch predictions: the champion's list for every active customer, resumable, in constant memory."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml_assets.files import replace_file
from ml_assets.learning import fingerprint
from ml_assets.learning.decisions import at_decision, candidate_table, midnight
from ml_assets.learning.metrics import top_k
from ml_assets.learning.spec import ModelSpec
from ml_assets.registry.lock import file_lock
from ml_assets.registry.versions import VersionRef, load_version
from ml_assets.settings import Settings
from ml_assets.warehouse import connect

if TYPE_CHECKING:
    from feast import FeatureStore

    from ml_assets.retrieval.index import RetrievalIndex

INPUTS = b"inputs"
"""Parquet metadata of a published day: the content address of what it was predicted from."""

Progress = Callable[[str, int, int], None]

CHUNK = 2000
"""Customers scored at a time: bounds the memory, never the result."""

ACTIVE_DAYS = 90
"""Days in which an event makes a customer active."""

_ACTIVE = """
select distinct customer_id
from int_customer_days
where event_day < $until and event_day >= $since
order by customer_id
"""


@dataclass(frozen=True)
class Written:
    """Published predictions: customer_id, decision_ts, product_id, rank, score; by customer and rank."""

    path: Path
    version: str
    customers: int
    rows: int


def predict_day(
    spec: ModelSpec,
    settings: Settings,
    store: FeatureStore,
    version: Path,
    day: date,
    *,
    progress: Progress | None = None,
    chunk: int = CHUNK,
) -> Written:
    """Rank products for every customer active in the 90 days up to and including `day`.

    Knows what arrived up to and including `day`, however much newer the warehouse is. Finished chunks are
    kept beside the result until it is published: a killed run goes on after the last of them.

    Args:
        spec: the model; `serving.k` products are listed per customer.
        settings: the deployment.
        store: the feature store.
        version: the model version's folder.
        day: the last day that is known.
        progress: called with (message, customers done, customers in all).
        chunk: customers scored at a time.

    Raises:
        CorruptedVersionError: when the version was altered.
        KeyError: when the features now defined lack one the version needs.
    """
    ref, as_of = load_version(version), midnight(day + timedelta(days=1))
    out = settings.model_home(spec.name) / "batch_predictions" / f"event_day={day.isoformat()}" / "part.parquet"
    with connect(settings) as warehouse:
        since = as_of.date() - timedelta(days=ACTIVE_DAYS)
        found = warehouse.execute(_ACTIVE, {"until": as_of.date(), "since": since}).fetchall()
        data = fingerprint.data_versions(warehouse, spec, as_of.date())
    customers = [customer for (customer,) in found]
    inputs = _key(spec, ref, data, day, chunk)
    work = out.parent / f".chunks-{inputs}"
    with file_lock(out.parent / ".lock"):
        if out.exists() and (pq.read_schema(out).metadata or {}).get(INPUTS) == inputs.encode():
            return Written(out, ref.version, len(customers), pq.read_metadata(out).num_rows)
        for stale in out.parent.glob(".chunks-*"):
            if stale != work:
                shutil.rmtree(stale)
        work.mkdir(exist_ok=True)
        parts = {
            work / f"{start:09d}.parquet": customers[start : start + chunk] for start in range(0, len(customers), chunk)
        }
        index, done = _index(spec, settings, as_of), 0
        for piece, asked in parts.items():
            if not piece.exists():
                _predict_chunk(spec, store, ref, index, customers=asked, out=piece, threads=settings.threads)
            done += len(asked)
            if progress:
                progress(f"predictions of {day}", done, len(customers))
        rows = _publish(list(parts), out, spec, inputs)
        shutil.rmtree(work)
    return Written(out, ref.version, len(customers), rows)


def score_frame(
    spec: ModelSpec, store: FeatureStore, index: RetrievalIndex, customers: Sequence[str], out: Path
) -> int:
    """Write the customers' candidates with their features as of the index's time to `out`; returns the rows.

    The same retrieval and the same point-in-time join as in training.

    Args:
        spec: the model.
        store: the feature store.
        index: the retrieval index; its `as_of` is the decision time.
        customers: distinct customers, sorted.
        out: Parquet with keys, category_id, retrieval columns and features, by customer and product.
    """
    from feature_repo.historical import training_frame

    entities = out.with_name(f"{out.name}.entities")
    pq.write_table(at_decision(candidate_table(index, customers, spec), index.as_of, spec), entities)
    try:
        return training_frame(store, spec.feature_service, entities, out)
    finally:
        entities.unlink()


def _predict_chunk(
    spec: ModelSpec,
    store: FeatureStore,
    ref: VersionRef,
    index: RetrievalIndex,
    *,
    customers: Sequence[str],
    out: Path,
    threads: int,
) -> None:
    frame = out.with_name(f"{out.name}.frame")
    score_frame(spec, store, index, customers, frame)
    keys = pq.read_table(frame, columns=[spec.entity, spec.time, spec.item])
    score = np.asarray(ref.booster().predict(_matrix(frame, ref), num_threads=threads), dtype=np.float64)
    group = pc.index_in(keys[spec.entity], value_set=pa.array(customers, pa.string())).to_numpy()
    row, rank = top_k(score, group, spec.serving.k)
    ranked = keys.take(pa.array(row)).append_column("rank", pa.array(rank.astype(np.int32)))
    with replace_file(out) as aside:
        pq.write_table(ranked.append_column("score", pa.array(score[row])), aside)
    frame.unlink()


def _matrix(frame: Path, ref: VersionRef) -> np.ndarray:
    source = pq.ParquetFile(frame)
    missing = sorted(set(ref.features) - set(source.schema_arrow.names))
    if missing:
        raise KeyError(f"version {ref.version} needs features {missing}, which are no longer defined")
    x = np.empty((source.metadata.num_rows, len(ref.features)), dtype=np.float32)
    at = 0
    for batch in source.iter_batches(columns=list(ref.features)):
        for position, name in enumerate(ref.features):
            x[at : at + len(batch), position] = batch[name].to_numpy(zero_copy_only=False)
        at += len(batch)
    return x


def _publish(pieces: list[Path], out: Path, spec: ModelSpec, inputs: str) -> int:
    """Stream the chunks into one file; returns its rows."""
    schema = (pq.read_schema(pieces[0]) if pieces else _empty_schema(spec)).with_metadata({INPUTS: inputs})
    rows = 0
    with replace_file(out) as aside, pq.ParquetWriter(aside, schema) as writer:
        for table in _tables(pieces):
            writer.write_table(table.cast(schema))
            rows += len(table)
    return rows


def _tables(pieces: list[Path]) -> Iterator[pa.Table]:
    for piece in pieces:
        yield pq.read_table(piece)


def _empty_schema(spec: ModelSpec) -> pa.Schema:
    keys = [(spec.entity, pa.string()), (spec.time, pa.timestamp("us")), (spec.item, pa.string())]
    return pa.schema([*keys, ("rank", pa.int32()), ("score", pa.float64())])


def _index(spec: ModelSpec, settings: Settings, as_of: datetime) -> RetrievalIndex:
    from ml_assets.retrieval.history import read_catalogue, read_interactions
    from ml_assets.retrieval.index import build_index

    with connect(settings) as warehouse:
        interactions = read_interactions(warehouse, as_of.date(), spec.retrieval.history_days)
        catalogue = read_catalogue(warehouse, as_of.date())
    return build_index(interactions, catalogue, as_of, spec.retrieval)


def _key(spec: ModelSpec, ref: VersionRef, data: dict[str, str], day: date, chunk: int) -> str:
    said = [ref.version, data, day.isoformat(), chunk, spec.serving.k, spec.retrieval.model_dump()]
    described = json.dumps([*said, fingerprint.code_version()], sort_keys=True)
    return hashlib.sha256(described.encode()).hexdigest()[:16]
