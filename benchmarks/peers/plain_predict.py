"""Batch scoring the plain way: all rows in a frame, `Booster.predict`, ranks by pandas; nothing is kept on the way."""

from __future__ import annotations

import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from ml_assets.registry.versions import load_version


def score(*, version: str, frame: str, out: str, keys: list[str], k: int, threads: int) -> dict[str, Any]:
    """Features in a Parquet file to the k best rows of each group in another."""
    ref = load_version(Path(version))
    booster = ref.booster()
    began = time.perf_counter()
    rows = pd.read_parquet(frame, columns=[*keys, *ref.features])
    best(rows.assign(score=booster.predict(rows[list(ref.features)], num_threads=threads)), keys, k).to_parquet(out)
    return {"seconds": time.perf_counter() - began, "rows": len(rows)}


def best(rows: pd.DataFrame, keys: list[str], k: int) -> pd.DataFrame:
    """Keys, rank and score of the k best rows of each group, by group and rank."""
    rank = rows.groupby(keys[:-1], sort=False)["score"].rank(method="first", ascending=False).astype("int32")
    ranked = rows[[*keys, "score"]].assign(rank=rank)
    return ranked[ranked["rank"] <= k].sort_values([*keys[:-1], "rank"])[[*keys, "rank", "score"]]


def predict_day(*, home: str, shop: str, version: str, day: str, out: str, chunk: int) -> dict[str, Any]:
    """The day's lists by a point-in-time join per chunk of customers, as one writes it with Feast at hand."""
    from feature_repo.historical import joined
    from feature_repo.store import open_store
    from ml_assets.config.model_spec import model_specs
    from ml_assets.config.settings import SHOP, Settings
    from ml_assets.datasets.cutoffs import at_decision, candidate_table, midnight
    from ml_assets.scoring.batch import active_customers, index_as_of

    settings, (spec,), ref = Settings(home=Path(home), shop=shop), model_specs(SHOP), load_version(Path(version))
    as_of = midnight(date.fromisoformat(day) + timedelta(days=1))
    began = time.perf_counter()
    store = open_store(settings)
    customers, index = active_customers(settings, as_of), index_as_of(spec, settings, as_of)
    lists = []
    for start in range(0, len(customers), chunk):
        entities = at_decision(candidate_table(index, customers[start : start + chunk], spec), as_of, spec).to_pandas()
        rows = pa.concat_tables(joined(store, spec.feature_service, entities)).to_pandas()
        x = rows[list(ref.features)].astype("float32")
        scored = rows.assign(score=ref.booster().predict(x, num_threads=settings.threads))
        lists.append(best(scored, [spec.entity, spec.time, spec.item], spec.serving.k))
    pd.concat(lists).to_parquet(out)
    return {"seconds": time.perf_counter() - began, "customers": len(customers)}
