"""A small warehouse with the five feature logs, and a feature store applied on it."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import duckdb
import pytest
import redis
from redis_server import running_redis

from ml_assets.config.settings import Settings, load_settings

FIRST_DAY = "2024-01-01"
DAYS = 40
AS_OF = datetime(2024, 2, 10)
"""Midnight after the last day of the warehouse."""


def _value(name: str, dtype: str, keys: str) -> str:
    """SQL for a value that depends on the key, the day and the column, and is null now and then."""
    draw = f"(hash({keys}, event_day, '{name}') % 1000)::bigint"
    by_type = {
        "int": f"({draw} % 40)::bigint",
        "float": f"{draw} / 7.0",
        "time": f"event_day + interval (-({draw} % 30)) day + interval ({draw} * 61) second",
        "bool": f"{draw} % 2 = 0",
        "country": f"(['GB', 'DE', 'FR'])[1 + {draw} % 3]",
    }
    return f"case when {draw} % 11 > 0 then {by_type[dtype]} end as {name}"


def _windows(*counts: str, days: tuple[int, ...] = (7, 28, 90)) -> dict[str, str]:
    return {f"{count}_{window}d": "int" for count in counts for window in days}


def _typed(dtype: str, names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), dtype)


CUSTOMER = {
    **_windows("views", "carts", "purchases", "orders", "sessions"),
    **_typed("float", "revenue_28d revenue_90d conversion_28d avg_price_90d mean_order_gap_days repeat_share_90d"),
    **_typed("int", "orders_total purchases_total products_total"),
    **_typed("time", "first_seen_at last_seen_at last_order_at"),
    "country": "country",
}
PRODUCT = {
    **_windows("views", "carts", "purchases"),
    **_windows("buyers", days=(7, 14, 28, 90)),
    **_typed("float", "revenue_28d conversion_28d cart_rate_28d trend_7_28 price price_change_28d"),
    **_typed("float", "repurchase_rate mean_repurchase_gap_days"),
    **_typed("time", "first_listed_at last_purchase_at"),
    "buyers_total": "int",
    "available": "bool",
}
CATEGORY = {
    **_windows("views", "carts", "purchases", "buyers"),
    **_typed("float", "revenue_28d conversion_28d trend_7_28 avg_price_28d"),
}
CUSTOMER_PRODUCT = {
    **_typed("int", "views_total carts_total orders_total quantity_total customer_orders_at_first"),
    **_typed("time", "last_view_at last_cart_at last_purchase_at first_purchase_at"),
    **_typed("float", "purchases_hl7 purchases_hl28 purchases_hl90 views_hl7 carts_hl7 mean_gap_days"),
}
CUSTOMER_CATEGORY = {
    **_typed("int", "purchases_total views_total"),
    **_typed("float", "purchases_hl28 purchases_hl90 views_hl7 revenue_total"),
    **_typed("time", "last_purchase_at"),
}


def make_warehouse(path: Path, *, customers: int, products: int, visits: int, days: int = DAYS) -> None:
    """Write the five `feat_` tables: about `visits` meetings of a customer and a product over `days` days."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path), config={"threads": 2}) as connection:
        connection.execute(f"""
            create temp table visits as
            select distinct
                'c' || (hash(i, 1) % {customers}) as customer_id,
                'p' || (hash(i, 2) % {products}) as product_id,
                'g' || (hash(i, 2) % {products} % 7) as category_id,
                date '{FIRST_DAY}' + (hash(i, 3) % {days})::int as event_day
            from range({visits}) as drawn(i)
        """)
        for name, keys, values, extra in (
            ("feat_customer", "customer_id", CUSTOMER, ""),
            ("feat_product", "product_id", PRODUCT, ", category_id"),
            ("feat_category", "category_id", CATEGORY, ""),
            ("feat_customer_product", "customer_id, product_id", CUSTOMER_PRODUCT, ""),
            ("feat_customer_category", "customer_id, category_id", CUSTOMER_CATEGORY, ""),
        ):
            columns = ", ".join(_value(column, dtype, keys) for column, dtype in values.items())
            connection.execute(f"""
                create table {name} as
                select {keys}{extra}, event_day,
                    event_day::timestamp + interval 1 day as event_timestamp, {columns}
                from (select distinct {keys}{extra}, event_day from visits) as met
            """)


@pytest.fixture(scope="session")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings whose warehouse holds 60 customers, 40 products and 40 days; nothing may write to it."""
    settings = load_settings({"ML_ASSETS_HOME": str(tmp_path_factory.mktemp("shared") / "home")})
    make_warehouse(settings.warehouse, customers=60, products=40, visits=3000)
    return settings


@pytest.fixture(scope="session")
def store(warehouse: Settings):
    """The feature store over `warehouse`, applied and materialized for AS_OF; nothing may write to it."""
    from feature_repo.online import materialize
    from feature_repo.store import apply, open_store

    opened = open_store(warehouse)
    apply(opened)
    materialize(opened, AS_OF)
    return opened


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory):
    """Address of a Redis without a database number; database 1 is `materialized`'s."""
    with running_redis(tmp_path_factory.mktemp("redis")) as address:
        yield address


@pytest.fixture
def empty_redis(redis_server: str) -> str:
    """Address of an empty Redis database."""
    with redis.Redis.from_url(f"{redis_server}/0") as client:
        client.flushdb()
    return f"{redis_server}/0"


@pytest.fixture(scope="session", params=["sqlite", "redis"])
def materialized(request: pytest.FixtureRequest, warehouse: Settings, store):
    """(settings, store) over `warehouse`, materialized for AS_OF, with either online store; nothing may write to it."""
    from feature_repo.online import materialize
    from feature_repo.store import open_store

    if request.param == "sqlite":
        return warehouse, store
    address, before = f"{request.getfixturevalue('redis_server')}/1", dict(os.environ)
    settings = warehouse.model_copy(update={"online_store_address": address})
    opened = open_store(settings)
    os.environ.clear()
    os.environ.update(before)
    materialize(opened, AS_OF)
    return settings, opened


@pytest.fixture
def small_store(settings: Settings):
    """A function that makes a warehouse of its own and returns the applied store over it."""
    from feature_repo.store import apply, open_store

    def make(**size: int):
        make_warehouse(settings.warehouse, **{"customers": 12, "products": 8, "visits": 200, **size})
        opened = open_store(settings)
        apply(opened)
        return opened

    return make


@pytest.fixture(scope="session")
def as_of() -> datetime:
    """Midnight after the last day of the warehouse."""
    return AS_OF


@pytest.fixture(scope="session")
def new_warehouse() -> Callable[..., None]:
    """The function that writes a warehouse."""
    return make_warehouse
