"""A small shop whose served features are real: a warehouse, Feast's stores, a retrieval index, a version."""

from __future__ import annotations

import importlib.util
import json
import shutil
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
from prediction_days import MODEL, Day

from feature_repo.reader import OnlineReader
from ml_assets.config.retrieval_config import RetrievalSpec
from ml_assets.config.settings import Settings
from ml_assets.registry.pointer import sha256_folder
from ml_assets.registry.versions import publish_version
from ml_assets.retrieval.index import RetrievalIndex, SessionEvent, build_index

CUSTOMERS, PRODUCTS = 60, 40


def _feature_warehouse() -> ModuleType:
    """The maker of small feature logs that the feature store's own tests use."""
    path = Path(__file__).parents[1] / "feature_repo" / "conftest.py"
    described = importlib.util.spec_from_file_location("feature_warehouse", path)
    module = importlib.util.module_from_spec(described)
    described.loader.exec_module(module)
    return module


AS_OF: datetime = _feature_warehouse().AS_OF
"""Midnight after the warehouse's newest day: what the service counts as now."""


@dataclass(frozen=True)
class ServedShop:
    """What the service has: an index, online stores as of `AS_OF` and five days earlier, a version's features."""

    settings: Settings
    index: RetrievalIndex
    index_id: str
    version: str
    features: tuple[str, ...]
    fresh: OnlineReader
    stale: OnlineReader

    def rows(
        self, customer: str, products: list[str], session: tuple[tuple[str, str], ...] = (), *, stale: bool = False
    ) -> list[dict[str, float | None]]:
        """The features of an answer as the scorer puts them together."""
        pool = self.index.for_request(customer, [SessionEvent(*event) for event in session], products)
        reader = self.stale if stale else self.fresh
        now = (AS_OF - datetime(1970, 1, 1)).total_seconds()
        values = reader.read(customer, products, self.categories(products), now).astype(np.float32)
        retrieval = [f"retrieval__{name}" for name in pool.source_names]
        rows = [dict(zip([*retrieval, *reader.feature_names], row, strict=True)) for row in np.c_[pool.scores, values]]
        return [{name: None if np.isnan(row[name]) else float(row[name]) for name in self.features} for row in rows]

    def categories(self, products: list[str]) -> list[str]:
        return [self.index.categories[self.index.product_positions[product]] for product in products]

    def answer(
        self, day: Day, number: int, *, session: tuple[tuple[str, str], ...] = (), stale: bool = False, **changes: Any
    ) -> list[dict[str, float | None]]:
        """One logged answer, every ninth of a stranger; returns its feature rows as they were served."""
        customer = f"c{number % CUSTOMERS}" if number % 9 else "stranger"
        products = [f"p{(number * 3 + step * 7) % PRODUCTS}" for step in range(5)]
        rows = self.rows(customer, products, session, stale=stale)
        told = {"index": self.index_id, "as_of": AS_OF, "model_version": self.version, "session": json.dumps(session)}
        day.answer(
            customer, tuple(products), features=rows, categories=self.categories(products), **{**told, **changes}
        )
        return rows


def make_shop(home: Path) -> ServedShop:
    from feature_repo.online import materialize
    from feature_repo.store import apply, open_store

    settings = Settings(home=home, shop="simulated")
    _feature_warehouse().make_warehouse(settings.warehouse, customers=CUSTOMERS, products=PRODUCTS, visits=3000)
    store = open_store(settings)
    apply(store)
    materialize(store, AS_OF - timedelta(days=5))
    older = home / "older"
    shutil.copytree(settings.online_store.parent, older)
    materialize(store, AS_OF)
    index, index_id = publish_index(settings)
    fresh = OnlineReader(settings.online_store)
    features = (*(f"retrieval__{name}" for name in index.source_names), *fresh.feature_names)
    version = publish_version(
        settings, MODEL.name, "tree\n", run_id="run", features=features, params={}, training_set="none", metrics={},
        created_from={},
    )  # fmt: skip
    stale = OnlineReader(older / settings.online_store.name)
    return ServedShop(settings, index, index_id, version.version, features, fresh, stale)


def publish_index(settings: Settings) -> tuple[RetrievalIndex, str]:
    """An index in its folder, and what the log calls it."""
    rng = np.random.default_rng(7)
    day, rows = AS_OF.date(), 900
    interactions = pa.table(
        {
            "customer_id": [f"c{each}" for each in rng.integers(CUSTOMERS, size=rows)],
            "product_id": [f"p{each}" for each in rng.integers(PRODUCTS, size=rows)],
            "event_day": sorted(day - timedelta(days=int(each)) for each in rng.integers(1, 40, size=rows)),
            "views": [1] * rows, "carts": [each % 2 for each in range(rows)], "quantity": [1] * rows,
            "orders": [each % 3 // 2 for each in range(rows)], "session_id": [f"s{each // 3}" for each in range(rows)],
        }
    )  # fmt: skip
    catalogue = pa.table(
        {
            "product_id": [f"p{each}" for each in range(PRODUCTS)], "event_day": [day - timedelta(days=50)] * PRODUCTS,
            "category_id": [f"g{each % 7}" for each in range(PRODUCTS)], "available": [True] * PRODUCTS,
        }
    )  # fmt: skip
    index = build_index(interactions, catalogue, AS_OF, RetrievalSpec())
    folder = settings.model_home(MODEL.name) / "indexes" / "newest"
    folder.mkdir(parents=True)
    index.save(folder)
    return index, sha256_folder(folder)[:12]
