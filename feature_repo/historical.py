"""Training sets: the point-in-time join of a feature service onto entity rows, with the derived features on top."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from feast import FeatureStore

from feature_repo.derived import derive, derived_of, numbers, stored_for
from feature_repo.store import feature_names, references
from feature_repo.stores.entity_rows import EntityFrame
from feature_repo.stores.retrieval import write_parquet
from feature_repo.stores.session import OfflineStoreError
from feature_repo.transforms import INPUTS, NOW
from ml_assets.storage.files import replace_file


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
    tables = joined(store, service, entities)
    with replace_file(out) as aside:
        return write_parquet(_typed(tables, passed, names, feature_type or pa.float32()), aside)


def joined(store: FeatureStore, service: str, entities: EntityFrame) -> Iterator[pa.Table]:
    """Yield the entity rows in order, in tables of bounded size, with every feature of the service (missing is null).

    Raises:
        OfflineStoreError: when a key or `event_timestamp` is missing, or `now` where the service derives features.
    """
    wanted = references(stored_for(feature_names(store, service)))
    rows: Any = entities  # Feast's hint names DataFrame and SQL only
    job: Any = store.get_historical_features(rows, wanted, full_feature_names=True)
    derived = derived_of(service)
    for table in job.to_tables():
        yield _with_derived(table, derived) if derived else table


def _with_derived(table: pa.Table, names: tuple[str, ...]) -> pa.Table:
    if NOW not in table.column_names:
        raise OfflineStoreError(
            f"the entity rows lack {NOW}, the moment in unix seconds that derived features are computed for; "
            f"there are {', '.join(table.column_names)}"
        )
    values = derive({name: numbers(table[name]) for name in INPUTS}, numbers(table[NOW]))
    for name in names:
        table = table.append_column(name, pa.array(values[name], from_pandas=True))
    return table


def _typed(
    tables: Iterator[pa.Table], passed: list[str], names: list[str], feature_type: pa.DataType
) -> Iterator[pa.Table]:
    for table in tables:
        features = [pc.cast(table[name], feature_type, safe=False) for name in names]
        yield pa.table([*(table[name] for name in passed), *features], names=[*passed, *names])
