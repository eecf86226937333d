"""The features of logged rows once more, offline, by the code that makes training sets."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.datasets.cutoffs import CATEGORY, EVENT_TIMESTAMP, NOW
from ml_assets.datasets.labelled import REQUEST
from ml_assets.registry.pointer import sha256_folder
from ml_assets.retrieval.index import RetrievalIndex, SessionEvent
from ml_assets.retrieval.sources import SOURCES

CUSTOMER, PRODUCT, ANSWER = "customer_id", "product_id", "prediction_id"

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Recomputed:
    """Features [rows] of the logged rows, as float32 with NaN where missing.

    Retrieval scores of rows whose index is gone (`lost_indexes`) are infinite: they equal nothing.
    """

    features: dict[str, Floats]
    lost_indexes: tuple[str, ...]


@dataclass(frozen=True)
class Logged:
    """What one kind of logged rows is recomputed from.

    Attributes:
        row: SQL: order of the rows; those of an answer lie together.
        asked: columns of the answer that are needed.
        named: columns that name a row among people.
        recompute: every feature that is defined now, for the key and the time of each row.
    """

    row: str
    asked: tuple[str, ...]
    named: tuple[str, ...]
    recompute: Callable[[ModelSpec, Settings, pa.Table], Recomputed]


def logged_of(spec: ModelSpec) -> Logged:
    """The kind of rows a model logs."""
    return LISTS if spec.ranks else EVENTS


def recompute(spec: ModelSpec, settings: Settings, rows: pa.Table) -> Recomputed:
    """Recompute every feature that is defined now, for the key and the time of each row.

    Args:
        spec: the model.
        settings: the deployment, with its warehouse, feature registry and indexes.
        rows: shown products with prediction_id, customer_id, product_id, category_id, and their answer's
            as_of, index and session; rows of an answer lie together.

    Raises:
        OfflineStoreError: when the warehouse cannot be read.
        IndexFilesError: when an index that answered is damaged.
    """
    scores, categories, lost = _retrieval(spec, settings, rows)
    keys = {CUSTOMER: rows[CUSTOMER], PRODUCT: rows[PRODUCT], CATEGORY: categories}
    return Recomputed({**_views(spec, settings, rows, keys), **scores}, lost)


def recompute_events(spec: ModelSpec, settings: Settings, rows: pa.Table) -> Recomputed:
    """Recompute every feature of predicted events: those of the views for their keys, and what was sent along.

    Args:
        spec: the model.
        settings: the deployment, with its warehouse and feature registry.
        rows: events with keys (JSON), and their answer's as_of and request (JSON).

    Raises:
        OfflineStoreError: when the warehouse cannot be read.
    """
    keys, said = ([json.loads(text) for text in rows[name].to_pylist()] for name in ("keys", "request"))
    names = sorted({name for each in keys for name in each})
    asked = {name: pa.array([each.get(name) for each in keys], pa.string()) for name in names}
    sent = {
        f"{REQUEST}{name}": floats(pa.chunked_array([pa.array([each.get(name) for each in said], pa.float64())]))
        for name in sorted({name for each in said for name in each})
    }
    return Recomputed({**_views(spec, settings, rows, asked), **sent}, ())


LISTS = Logged("prediction_id, position", ("as_of", "index", "session"), (ANSWER, CUSTOMER, PRODUCT), recompute)
EVENTS = Logged("prediction_id", ("as_of", "request"), (ANSWER, "event", "keys"), recompute_events)


def floats(column: pa.ChunkedArray) -> Floats:
    """A column as float32, NaN where null."""
    return np.asarray(pc.fill_null(pc.cast(column, pa.float32(), safe=False), np.nan).to_numpy(), dtype=np.float32)


def _views(spec: ModelSpec, settings: Settings, rows: pa.Table, keys: dict[str, Any]) -> dict[str, Floats]:
    """The features of the model's feature service, by the point-in-time join."""
    from feature_repo.historical import training_frame
    from feature_repo.store import open_store

    moment = rows["as_of"].cast(pa.timestamp("us"))
    entities = pa.table(
        {
            **keys,
            EVENT_TIMESTAMP: moment,
            NOW: pc.divide(pc.cast(moment.cast(pa.int64()), pa.float64()), 1e6),
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        asked, out = Path(folder, "entities.parquet"), Path(folder, "features.parquet")
        pq.write_table(entities, asked)
        training_frame(open_store(settings), spec.feature_service, asked, out)
        joined = pq.read_table(out)
    return {name: floats(joined[name]) for name in joined.column_names if name not in entities.column_names}


def _retrieval(
    spec: ModelSpec, settings: Settings, rows: pa.Table
) -> tuple[dict[str, Floats], pa.Array, tuple[str, ...]]:
    """Scores and categories by the index that answered, asked again; where it is gone, the logged category."""
    scores = np.full((len(rows), len(SOURCES)), np.inf, dtype=np.float32)
    categories: list[str | None] = rows[CATEGORY].to_pylist()
    index_of = rows["index"].to_pylist()
    folders = _folders(spec, settings, set(index_of))
    for named, folder in folders.items():
        index = RetrievalIndex.load(folder)
        for start, stop in _answers(rows):
            if index_of[start] == named:
                scores[start:stop] = _scores(index, rows.slice(start, stop - start))
                for row in range(start, stop):
                    at = index.product_positions.get(rows[PRODUCT][row].as_py())
                    categories[row] = categories[row] if at is None else index.categories[at]
    found = {f"retrieval__{name}": scores[:, at] for at, name in enumerate(SOURCES)}
    return found, pa.array(categories, pa.string()), tuple(sorted(set(index_of) - set(folders)))


def _answers(rows: pa.Table) -> Iterator[tuple[int, int]]:
    """First row and row behind the last one of each answer."""
    answer = rows[ANSWER].to_numpy(zero_copy_only=False)
    bounds = [0, *(np.flatnonzero(answer[1:] != answer[:-1]) + 1), len(answer)]
    for start, stop in pairwise(bounds):
        yield int(start), int(stop)


def _scores(index: RetrievalIndex, rows: pa.Table) -> Floats:
    """[rows, sources] of one answer; infinite for a product that the index does not know."""
    session = [SessionEvent(*event) for event in json.loads(rows["session"][0].as_py() or "[]")]
    products = rows[PRODUCT].to_pylist()
    pool = index.for_request(rows[CUSTOMER][0].as_py(), session, products)
    at = {index.products[product]: row for row, product in enumerate(pool.product.tolist())}
    found = np.concatenate([pool.scores, np.full((1, len(SOURCES)), np.inf, np.float32)])
    return np.asarray(found[[at.get(product, len(pool.product)) for product in products]], dtype=np.float32)


def _folders(spec: ModelSpec, settings: Settings, wanted: set[str]) -> dict[str, Path]:
    """Folders of the indexes by the first characters of their content's hash, the newest looked at first.

    A folder's name is another hash (of what identifies an index before it is published), so each is read.
    """
    home = settings.model_home(spec.name) / "indexes"
    folders = [path for path in home.glob("*") if path.is_dir() and not path.name.startswith(".")]
    found: dict[str, Path] = {}
    for folder in sorted(folders, key=lambda path: path.stat().st_mtime, reverse=True):
        if len(found) == len(wanted):
            break
        digest = sha256_folder(folder)
        found.update({named: folder for named in wanted if digest.startswith(named)})
    return found
