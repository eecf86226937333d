"""A small training set in the published shape, with a signal a ranker can learn and baselines to beat."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ml_assets.config.model_spec import GateSpec, ModelSpec, SplitSpec, TrainingSpec, TuningSpec
from ml_assets.datasets.code import data_code, version_of
from ml_assets.datasets.fingerprint import described
from ml_assets.datasets.training_set import DatasetRef
from ml_assets.storage.files import sha256_file

FEATURES = ("retrieval__own", "customer__orders", "product__buyers_28d", "noise")
FIRST_DECISION = datetime(2011, 10, 10)
PARTS = {"train": 4, "validation": 1, "test": 2, "holdout": 1}
FRESH = {"train": 5, "validation": 1, "test": 1, "holdout": 0}
LATER = FIRST_DECISION + timedelta(days=7 * PARTS["train"])
"""Where a fresh training set begins that follows what a champion was trained on."""


def small_spec() -> ModelSpec:
    """A model of this training set that trains in a moment."""
    return ModelSpec(
        name="recommender",
        description="Ranks products for a customer.",
        spine="mart_recommendation_spine",
        feature_service="product_recommender",
        slices=("customer_kind", "popularity_tier"),
        split=SplitSpec(train=4, validation=1, test=2, holdout=1),
        tuning=TuningSpec(trials=3, rounds=15, sample_groups=200),
        training=TrainingSpec(rounds=25, early_stopping=10, negatives=15),
        gate=GateSpec(draws=200, slice_min_customers=20, slice_tolerance=0.05),
    )


def write_dataset(
    folder: Path,
    spec: ModelSpec,
    *,
    parts: dict[str, int] = PARTS,
    start: datetime = FIRST_DECISION,
    turned_from: int | None = None,
    seed: int = 3,
) -> DatasetRef:
    """Customers buy by a hidden affinity that `retrieval__own` shows with noise; a tenth is missed.

    From the decision `turned_from` on the world has turned: they buy what is popular instead, with the same features.
    `parts` says how many decisions each part has, the first of them at `start`.
    """
    customers, products, width = 70, 60, 30
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    affinity = rng.gamma(0.5, size=(customers, products))
    popular = rng.gamma(1.0, size=products)
    days = [start + timedelta(days=7 * at) for at in range(sum(parts.values()))]
    named = [part for part, count in parts.items() for _ in range(count)]
    rows, truths, items, lists = [], [], [], []
    group = 0
    for number, (part, day) in enumerate(zip(named, days, strict=True)):
        own, common = (2.0, 0.3) if turned_from is None or number < turned_from else (0.1, 3.0)
        items.append(_items(part, day, popular, products))
        for customer in range(customers):
            want = affinity[customer] * own + popular * common + rng.gumbel(size=products) * 0.5
            bought = np.argsort(-want)[: 1 + customer % 3]
            truths.append(_truth(part, day, customer, bought, popular))
            seen = np.sort(rng.permutation(products)[:width])
            seen = np.union1d(seen, bought[rng.random(len(bought)) > 0.1])
            rows.append(
                _rows(part, day, group, customer, seen, bought=bought, affinity=affinity, popular=popular, rng=rng)
            )
            for name, score in (("popularity", popular), ("own_frequency", affinity[customer] > 0.7)):
                lists.append(_list(name, day, customer, score))
            group += 1
    _write(folder / "rows.parquet", rows)
    _write(folder / "truth.parquet", truths)
    _write(folder / "items.parquet", items)
    _write(folder / "baselines.parquet", lists)
    manifest = _manifest(folder, days, named, rows, truths)
    (folder / "manifest.json").write_text(json.dumps({**manifest, "spec": described(spec)}))
    return DatasetRef(folder)


def _rows(part, day, group, customer, seen, *, bought, affinity, popular, rng) -> pa.Table:
    label = np.where(np.isin(seen, bought), 3, 0)
    values = {
        "retrieval__own": affinity[customer, seen] + rng.normal(size=len(seen)) * 0.2,
        "customer__orders": np.full(len(seen), float(customer % 5)),
        "product__buyers_28d": np.where(rng.random(len(seen)) < 0.1, np.nan, popular[seen]),
        "noise": rng.normal(size=len(seen)),
    }
    return pa.table(
        {
            "customer_id": [f"c{customer:03}"] * len(seen),
            "decision_ts": pa.array([day] * len(seen), pa.timestamp("us")),
            "product_id": [f"p{at:03}" for at in seen],
            "category_id": [f"k{at % 4}" for at in seen],
            "label": pa.array(label, pa.int32()),
            "split": [part] * len(seen),
            "group": pa.array([group] * len(seen), pa.int32()),
            **{name: pa.array(column.astype(np.float32)) for name, column in values.items()},
        }
    )


def _truth(part, day, customer, bought, popular) -> pa.Table:
    n = len(bought)
    return pa.table(
        {
            "customer_id": [f"c{customer:03}"] * n,
            "decision_ts": pa.array([day] * n, pa.timestamp("us")),
            "product_id": [f"p{at:03}" for at in bought],
            "label": pa.array([3] * n, pa.int32()),
            "revenue": [float(1 + at % 7) for at in bought],
            "split": [part] * n,
            "customer_kind": ["new" if customer % 4 == 0 else "returning"] * n,
            "popularity_tier": ["head" if popular[at] > 1.5 else "tail" for at in bought],
        }
    )


def _items(part, day, popular, products) -> pa.Table:
    return pa.table(
        {
            "split": [part] * products,
            "decision_ts": pa.array([day] * products, pa.timestamp("us")),
            "product_id": [f"p{at:03}" for at in range(products)],
            "share": (popular + 0.1) / (popular.max() + 1),
        }
    )


def _list(name, day, customer, score) -> pa.Table:
    score = score.astype(float)
    best = np.argsort(-score)[:20]
    return pa.table(
        {
            "contender": [name] * 20,
            "customer_id": [f"c{customer:03}"] * 20,
            "decision_ts": pa.array([day] * 20, pa.timestamp("us")),
            "product_id": [f"p{at:03}" for at in best],
            "rank": pa.array(range(1, 21), pa.int32()),
            "score": score[best],
        }
    )


def _write(path: Path, tables: list[pa.Table]) -> None:
    pq.write_table(pa.concat_tables(tables), path)


def _manifest(folder, days, parts, rows, truths) -> dict:
    split: dict[str, list[str]] = {part: [] for part in PARTS}
    for part, day in zip(parts, days, strict=True):
        split[part].append(day.date().isoformat())
    counts = {
        part: {
            "decisions": len(split[part]),
            "groups": sum(t["split"][0].as_py() == part for t in truths),
            "rows": sum(len(t) for t in rows if t["split"][0].as_py() == part),
            "relevant": sum(len(t) for t in truths if t["split"][0].as_py() == part),
            "ceiling": 0.9,
        }
        for part in PARTS
    }
    return {
        "fingerprint": folder.name,
        "model": "recommender",
        "features": list(FEATURES),
        "split": split,
        "counts": counts,
        "data": {"warehouse": "w1", "last_event_day": "2011-12-04"},
        "code": version_of(data_code(small_spec())),
        "sources": data_code(small_spec()),
        "files": {file.name: sha256_file(file) for file in sorted(folder.iterdir())},
    }
