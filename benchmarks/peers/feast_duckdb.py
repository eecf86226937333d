"""Feast's own DuckDB offline store on the benchmark's point-in-time join."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.speed.offline_data import Files, feature_store, references


def join(files: dict[str, str], out: str) -> dict[str, Any]:
    """From the entity rows' file to the result's file; this store takes entity rows as a DataFrame only."""
    import pandas as pd
    from feast.infra.offline_stores.file_source import SavedDatasetFileStorage

    with TemporaryDirectory() as folder:
        store = feature_store(Files(**files), {"type": "duckdb"}, Path(folder))
        began = time.perf_counter()
        job = store.get_historical_features(pd.read_parquet(files["entities"]), references())
        job.persist(SavedDatasetFileStorage(path=out), allow_overwrite=True)
        return {"seconds": time.perf_counter() - began}
