"""The plain way to serve a model: FastAPI, Feast's `get_online_features`, a data frame, `Booster.predict`.

`python -m uvicorn benchmarks.peers.fastapi_feast:app` in the environment that `environment` describes. It gives the
answers of the project's service: candidates get the same retrieval scores, from the same index.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import lightgbm
import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.peers.feast_sqlite import open_plain
from ml_assets.config.settings import load_settings
from ml_assets.registry.pointer import require_pointer
from ml_assets.registry.versions import load_version
from ml_assets.retrieval.index import RetrievalIndex

POINTER, FEAST, SERVICE = "BENCH_POINTER", "BENCH_FEAST", "BENCH_SERVICE"
"""Variables: the pointer to the version to serve, the folder of the filled Feast store, the feature service."""

pointer = require_pointer(Path(os.environ[POINTER]))
version = load_version(pointer.model_path)
booster: lightgbm.Booster = version.booster()
index = RetrievalIndex.load(pointer.index_path)
store = open_plain(load_settings(), Path(os.environ[FEAST]))
service = store.get_feature_service(os.environ[SERVICE])
app = FastAPI()


class Request(BaseModel):
    """Who asks, and what is to be ranked."""

    customer: str
    candidates: list[str]
    k: int = 10


@app.get("/livez")
def livez() -> dict[str, str]:
    """Whether the server is up."""
    return {"status": "alive"}


@app.post("/recommend")
async def recommend(request: Request) -> dict[str, Any]:
    """The best k of the candidates.

    On the event loop, although it blocks: in FastAPI's threads eight requests at once hinder each other.
    """
    pool = index.for_request(request.customer, products=request.candidates)
    products = [index.products[at] for at in pool.product]
    rows = [
        {
            "customer_id": request.customer,
            "product_id": product,
            "category_id": index.categories[at],
            "now": pointer.now,
        }
        for product, at in zip(products, pool.product, strict=True)
    ]
    read = store.get_online_features(features=service, entity_rows=rows, full_feature_names=True).to_df()
    retrieved = pd.DataFrame(pool.scores, columns=[f"retrieval__{name}" for name in pool.source_names])
    features = pd.concat([read, retrieved], axis=1)[list(version.features)].astype("float32")
    ranked = pd.DataFrame({"product": products, "score": booster.predict(features, num_threads=1), "at": pool.product})
    best = ranked.sort_values(["score", "at"], ascending=[False, True]).head(request.k)
    return {"customer": request.customer, "products": best["product"].tolist(), "scores": best["score"].tolist()}
