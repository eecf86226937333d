"""What a replayed day leaves behind: the daily tables of predictions, as the collector publishes them."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.datasets.cutoffs import midnight
from ml_assets.metrics.ranking import top_k
from ml_assets.prediction_log import day_folder
from ml_assets.prediction_log.tables import PREDICTIONS, REFUSALS, SHOWN
from ml_assets.registry.release import Arm
from ml_assets.registry.versions import VersionRef
from ml_assets.simulation import Shop
from ml_assets.storage.files import publish_folder


@dataclass(frozen=True)
class AskedDay:
    """A day's candidates: `frame`, `x` and `score` are aligned, one row per customer and product."""

    version: VersionRef
    day: date
    visitors: pa.Table
    frame: pa.Table
    x: np.ndarray
    score: np.ndarray

    @cached_property
    def customers(self) -> list[str]:
        """Who came."""
        found: list[str] = self.visitors["customer_id"].to_pylist()
        return found

    @cached_property
    def ids(self) -> pa.Array:
        """One prediction per customer."""
        return pa.array([f"{self.day}-{customer}" for customer in self.customers])

    @cached_property
    def came(self) -> pa.ChunkedArray:
        """When."""
        return self.visitors["came"].cast(pa.timestamp("us"))


def publish(settings: Settings, spec: ModelSpec, shop: Shop, asked: AskedDay) -> None:
    """Rank, let the customers answer, write the day's tables."""
    group = pc.index_in(asked.frame[spec.entity], value_set=pa.array(asked.customers)).to_numpy()
    row, rank = top_k(asked.score, group, spec.serving.k)
    shown = _shown(spec, shop, asked, row=row, whose=group[row], position=rank)
    folder = day_folder(settings, spec.name, asked.day)
    shutil.rmtree(folder, ignore_errors=True)
    with publish_folder(folder) as aside:
        pq.write_table(_predictions(spec, asked, group), aside / "predictions.parquet")
        pq.write_table(shown, aside / "shown.parquet")
        pq.write_table(REFUSALS.empty_table(), aside / "refusals.parquet")


def _shown(
    spec: ModelSpec, shop: Shop, asked: AskedDay, *, row: np.ndarray, whose: np.ndarray, position: np.ndarray
) -> pa.Table:
    shown = asked.frame.take(pa.array(row))
    lists: list[list[str]] = [[] for _ in asked.customers]
    for at, product in zip(whose, shown[spec.item].to_pylist(), strict=True):
        lists[at].append(product)
    answers = shop.answer_many(asked.customers, lists, asked.day)
    outcomes = {"clicked": answers.clicked, "carted": answers.carted, "purchased": answers.purchased}
    columns: dict[str, Any] = {
        "prediction_id": asked.ids.take(pa.array(whose)),
        "time": asked.came.take(pa.array(whose)),
        "model_version": _same(asked.version.version, len(row)),
        "arm": _same(Arm.CHAMPION, len(row)),
        "customer_id": shown[spec.entity],
        "position": position,
        "product_id": shown[spec.item],
        "category_id": shown["category_id"],
        "score": asked.score[row],
        "propensity": np.ones(len(row)),
        "sources": _sources(shown),
    }
    columns |= {name: asked.x[row, at] for at, name in enumerate(asked.version.features)}
    columns |= {name: done[whose, position - 1] for name, done in outcomes.items()}
    features = [(name, pa.float32()) for name in asked.version.features]
    return pa.table(columns, schema=pa.schema([*SHOWN, *features, *((name, pa.bool_()) for name in outcomes)]))


def _predictions(spec: ModelSpec, asked: AskedDay, group: np.ndarray) -> pa.Table:
    """`group`: whose candidate each row is."""
    count, as_of = len(asked.customers), midnight(asked.day)
    known = np.zeros(count, dtype=bool)
    known[group] = asked.frame["known"].to_numpy()
    return pa.table(
        {
            "prediction_id": asked.ids,
            "time": asked.came,
            "logged_at": asked.came,
            "as_of": [as_of] * count,
            "model_version": _same(asked.version.version, count),
            "index": _same(f"{as_of:%Y%m%d}", count),
            "arm": _same(Arm.CHAMPION, count),
            "release_id": [None] * count,
            "customer_id": asked.customers,
            "customer_known": known,
            "k": np.full(count, spec.serving.k),
            "session": _same("[]", count),
            "candidates": [None] * count,
            "ranked": np.bincount(group, minlength=count),
            "degraded": [[]] * count,
            "unknown_products": [[]] * count,
            "served_by": _same("replay", count),
            "latency_ms": np.zeros(count),
        },
        schema=PREDICTIONS,
    )


def _same(value: str, count: int) -> pa.Array:
    return pa.array(itertools.repeat(value, count), pa.string(), size=count)


def _sources(shown: pa.Table) -> pa.Array:
    """Names of the sources that nominated each row: those with a score."""
    names = [name for name in shown.column_names if name.startswith("retrieval__")]
    scored = np.column_stack([~np.isnan(shown[name].to_numpy()) for name in names])
    said = [
        [name.removeprefix("retrieval__") for name, there in zip(names, row, strict=True) if there] for row in scored
    ]
    return pa.array(said, pa.list_(pa.string()))
