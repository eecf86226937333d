"""Batch predictions: the champion's list for every active customer, resumable, in constant memory."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.datasets import fingerprint
from ml_assets.datasets.code import data_code, version_of
from ml_assets.datasets.cutoffs import at_decision, candidate_table, midnight
from ml_assets.datasets.day_features import LatestFeatures, latest_features
from ml_assets.registry.versions import VersionRef, load_version
from ml_assets.scoring.pieces import PIECE, Piece, check_features, join_parts, published, score_in_parts
from ml_assets.scoring.predictor import Predictor
from ml_assets.storage.file_lock import file_lock
from ml_assets.storage.warehouse import connect

if TYPE_CHECKING:
    from feast import FeatureStore

    from ml_assets.retrieval.index import RetrievalIndex

Progress = Callable[[str, int, int], None]

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
    chunk: int | None = None,
) -> Written:
    """Rank products for every customer active in the 90 days up to and including `day`.

    Knows what arrived up to and including `day`, however much newer the warehouse is. Finished chunks are
    kept beside the result until it is published: a killed run goes on after them and ends with the same bytes.

    Args:
        spec: the model; `serving.k` products are listed per customer.
        settings: the deployment.
        store: the feature store.
        version: the model version's folder.
        day: the last day that is known.
        progress: called with (message, customers done, customers in all).
        chunk: customers scored at a time: bounds the memory, never the result; default what makes a `scoring.PIECE`.

    Raises:
        CorruptedVersionError: when the version was altered.
        KeyError: when the features now defined lack one the version needs.
    """
    ref, as_of = load_version(version), midnight(day + timedelta(days=1))
    out = settings.model_home(spec.name) / "batch_predictions" / f"event_day={day.isoformat()}" / "part.parquet"
    customers, chunk = active_customers(settings, as_of), chunk or max(PIECE // spec.retrieval.total, 1)
    with connect(settings) as warehouse:
        data = fingerprint.data_versions(warehouse, spec, as_of.date())
    inputs = _key(spec, ref, data, day, chunk)
    work = out.parent / f".chunks-{inputs}"
    with file_lock(out.parent / ".lock"):
        if (known := published(out, inputs)) is not None:
            return Written(out, ref.version, len(customers), known)
        for stale in out.parent.glob(".chunks-*"):
            if stale != work:
                shutil.rmtree(stale)
        work.mkdir(exist_ok=True)
        index, used = index_as_of(spec, settings, as_of), Predictor(ref).used
        latest = latest_features(store, spec.feature_service, as_of, spec.entity, work / "latest")
        check_features(ref, [*(f"retrieval__{name}" for name in index.source_names), *latest.features])

        def pieces(begin: int) -> Iterator[Piece]:
            for start in range(begin, len(customers), chunk):
                asked = customers[start : start + chunk]
                yield Piece(start + len(asked), partial(_candidates, spec, index, latest, used, asked))

        def told(done: int) -> None:
            if progress:
                progress(f"predictions of {day}", done, len(customers))

        parts = score_in_parts(pieces, work, ref, k=spec.serving.k, threads=settings.threads, progress=told)
        rows = join_parts(parts, out, inputs, _schema(spec))
        shutil.rmtree(work)
    return Written(out, ref.version, len(customers), rows)


def active_customers(settings: Settings, as_of: datetime) -> list[str]:
    """Everybody with an event in the 90 days before `as_of`, by id."""
    with connect(settings) as warehouse:
        days = {"until": as_of.date(), "since": as_of.date() - timedelta(days=ACTIVE_DAYS)}
        return [customer for (customer,) in warehouse.execute(_ACTIVE, days).fetchall()]


def index_as_of(spec: ModelSpec, settings: Settings, as_of: datetime) -> RetrievalIndex:
    """The retrieval index of what the warehouse knew at the midnight `as_of`."""
    from ml_assets.retrieval.history import read_catalogue, read_interactions
    from ml_assets.retrieval.index import build_index

    with connect(settings) as warehouse:
        interactions = read_interactions(warehouse, as_of.date(), spec.retrieval.history_days)
        catalogue = read_catalogue(warehouse, as_of.date())
    return build_index(interactions, catalogue, as_of, spec.retrieval)


def _candidates(
    spec: ModelSpec, index: RetrievalIndex, latest: LatestFeatures, features: Sequence[str], customers: Sequence[str]
) -> tuple[pa.Table, pa.Table]:
    """Keys and features of the customers' candidates."""
    rows = at_decision(candidate_table(index, customers, spec), index.as_of, spec)
    return rows.select([spec.entity, spec.time, spec.item]), latest.of(rows, features)


def _schema(spec: ModelSpec) -> pa.Schema:
    keys = [(spec.entity, pa.string()), (spec.time, pa.timestamp("us")), (spec.item, pa.string())]
    return pa.schema([*keys, ("rank", pa.int32()), ("score", pa.float64())])


def _key(spec: ModelSpec, ref: VersionRef, data: dict[str, str], day: date, chunk: int) -> str:
    said = [ref.version, data, day.isoformat(), chunk, spec.serving.k, spec.retrieval.model_dump()]
    described = json.dumps([*said, version_of(data_code(spec))], sort_keys=True)
    return hashlib.sha256(described.encode()).hexdigest()[:16]
