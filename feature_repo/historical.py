"""Training sets: the point-in-time join of a feature service onto a file of entity rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from feast import FeatureStore

from feature_repo.store import feature_names
from feature_repo.stores.retrieval import write_parquet
from ml_assets.files import replace_file


def training_frame(
    store: FeatureStore, service: str, entities: Path, out: Path, feature_type: pa.DataType | None = None
) -> int:
    """Join the service's features onto the rows of `entities`, written to `out`; returns the number of rows.

    `entities` is Parquet with the join keys, `event_timestamp`, `now` (unix seconds) and any further
    columns. `out` has its columns, then the features `<view>__<feature>` in the service's order as
    `feature_type` (default float32; missing is null), and its rows in the same order. Memory is bounded,
    however many rows there are.

    Raises:
        OfflineStoreError: when a key, `event_timestamp` or `now` is missing in `entities`.
    """
    passed, names = pq.read_schema(entities).names, feature_names(store, service)
    rows: Any = entities  # Feast's hint names DataFrame and SQL only
    job: Any = store.get_historical_features(rows, store.get_feature_service(service), full_feature_names=True)
    with replace_file(out) as aside:
        return write_parquet(_typed(job.to_tables(), passed, names, feature_type or pa.float32()), aside)


def _typed(
    tables: Iterator[pa.Table], passed: list[str], names: list[str], feature_type: pa.DataType
) -> Iterator[pa.Table]:
    for table in tables:
        features = [pc.cast(table[name], feature_type, safe=False) for name in names]
        yield pa.table([*(table[name] for name in passed), *features], names=[*passed, *names])
