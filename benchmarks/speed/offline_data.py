"""A shop's change-point logs and entity rows of any number, the same on every machine and in every run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb

from ml_assets.storage.files import replace_file

FIRST_DAY = "2025-01-01"
DAYS = 180
CUSTOMERS, CUSTOMER_ROWS = 200_000, 4_000_000
PRODUCTS, PRODUCT_ROWS = 20_000, 2_000_000
CUSTOMER_FEATURES = ("views_28d", "orders_28d", "orders_total", "revenue_90d", "conversion_28d", "country")
PRODUCT_FEATURES = ("views_7d", "buyers_28d", "buyers_total", "price", "trend_7_28", "available")
FEATURES = (*CUSTOMER_FEATURES, *PRODUCT_FEATURES)


@dataclass(frozen=True)
class Files:
    """Parquet files: rows that ask (`entity_row`, keys, `event_timestamp`) and the logs of the two views."""

    entities: str
    customers: str
    products: str


def make(work: Path, rows: int) -> Files:
    """The files under `work`, made unless they are there."""
    wanted = {f"entities_{rows}": _entities(rows), "customers": _customers(), "products": _products()}
    paths = [_written(work / f"{name}.parquet", sql) for name, sql in wanted.items()]
    return Files(*map(str, paths))


def feature_store(files: Files, offline_store: dict[str, Any], folder: Path) -> Any:
    """A Feast repository in `folder` with a view on each log, and nothing of this project but what is named."""
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
    from feast.types import Bool, Float64, Int64, String

    types = {"country": String, "available": Bool, "revenue_90d": Float64, "conversion_28d": Float64}
    types |= {"price": Float64, "trend_7_28": Float64}
    store = FeatureStore(
        config=RepoConfig(
            project="bench",
            provider="local",
            registry=str(folder / "registry.db"),
            offline_store=offline_store,
            online_store={"type": "sqlite", "path": str(folder / "online.db")},
            entity_key_serialization_version=3,
            repo_path=folder,
        )
    )
    for name, path, key, key_type, value_type, features in (
        ("customer", files.customers, "customer_id", String, ValueType.STRING, CUSTOMER_FEATURES),
        ("product", files.products, "product_id", Int64, ValueType.INT64, PRODUCT_FEATURES),
    ):
        entity = Entity(name=name, join_keys=[key], value_type=value_type)
        fields = [Field(name=feature, dtype=types.get(feature, Int64)) for feature in features]
        schema = [Field(name=key, dtype=key_type), *fields]
        source = FileSource(name=name, path=path, timestamp_field="event_timestamp")
        store.apply([entity, FeatureView(name=name, entities=[entity], ttl=timedelta(0), schema=schema, source=source)])
    return store


def references() -> list[str]:
    """What Feast is asked for: every feature of both views."""
    return [f"customer:{name}" for name in CUSTOMER_FEATURES] + [f"product:{name}" for name in PRODUCT_FEATURES]


def _written(path: Path, sql: str) -> Path:
    if not path.exists():
        with replace_file(path) as aside, duckdb.connect(config={"threads": 2}) as connection:
            connection.execute(f"copy ({sql}) to '{aside}' (format parquet)")
    return path


def _draw(column: int, up_to: int) -> str:
    """SQL for a whole number from 0 to `up_to` - 1 that depends on the row's number only."""
    return f"(hash(i, {column}) % {up_to})::bigint"


def _skewed(column: int, up_to: int) -> str:
    """SQL for a whole number below `up_to`, small ones more often: some customers come more often than others."""
    return f"floor({up_to} * pow((hash(i, {column}) % 1000003) / 1000003.0, 1.3))::bigint"


def _moment(column: int) -> str:
    """SQL for a moment to the microsecond: no two rows of a key share one, so that every join has one answer."""
    return f"timestamp '{FIRST_DAY}' + to_microseconds({_draw(column, DAYS * 86_400_000_000)})"


def _some(column: int, expression: str) -> str:
    """SQL for the value, or for null in one of twenty rows."""
    return f"case when hash(i, {column}) % 20 > 0 then {expression} end"


def _customer(number: str) -> str:
    return f"'C' || lpad(({number})::varchar, 7, '0')"


def _entities(rows: int) -> str:
    """Some ask for a customer nobody knows."""
    return f"""
        select i as entity_row, {_customer(_skewed(1, CUSTOMERS * 101 // 100))} as customer_id,
            {_skewed(2, PRODUCTS)} as product_id, {_moment(3)} as event_timestamp
        from range({rows}) as drawn(i)
    """


def _customers() -> str:
    return f"""
        select {_customer(_skewed(11, CUSTOMERS))} as customer_id, {_moment(12)} as event_timestamp,
            {_draw(13, 500)} as views_28d, {_draw(14, 30)} as orders_28d, {_draw(15, 900)} as orders_total,
            {_some(16, f"{_draw(16, 1_000_000)} / 100.0::double")} as revenue_90d,
            {_some(17, f"{_draw(17, 10_000)} / 10000.0::double")} as conversion_28d,
            ['GB', 'DE', 'FR', 'IE', 'NL'][1 + {_draw(18, 5)}] as country
        from range({CUSTOMER_ROWS}) as drawn(i)
    """


def _products() -> str:
    return f"""
        select {_skewed(21, PRODUCTS)} as product_id, {_moment(22)} as event_timestamp,
            {_draw(23, 5_000)} as views_7d, {_draw(24, 900)} as buyers_28d, {_draw(25, 90_000)} as buyers_total,
            {_some(26, f"{_draw(26, 100_000)} / 100.0::double")} as price,
            {_some(27, f"{_draw(27, 4_000)} / 1000.0::double")} as trend_7_28, {_draw(28, 10)} > 0 as available
        from range({PRODUCT_ROWS}) as drawn(i)
    """
