"""The five feature views over the warehouse's change-point logs.

A row of a log holds from its event timestamp until the next row of the same key, hence no ttl: windows stay
exact because a log also has a row when an event leaves a window. `valued_at` repeats the event timestamp as
a feature, so that decayed counts can be brought to the moment of the request.
"""

from __future__ import annotations

from datetime import timedelta

from feast import Entity, FeatureView, Field
from feast.types import Bool, Float64, Int64, PrimitiveFeastType, String, UnixTimestamp

from feature_repo.entities import category as category_entity
from feature_repo.entities import customer as customer_entity
from feature_repo.entities import product as product_entity
from feature_repo.stores.duckdb_source import DuckDBSource


def _fields(dtype: PrimitiveFeastType, *names: str) -> list[Field]:
    return [Field(name=name, dtype=dtype) for name in names]


def _windows(*counts: str, days: tuple[int, ...] = (7, 28, 90)) -> list[Field]:
    """Counts over the last `days` days, e.g. `views_7d`."""
    return _fields(Int64, *(f"{count}_{window}d" for count in counts for window in days))


def _view(name: str, entities: list[Entity], schema: list[Field], description: str) -> FeatureView:
    table = f"feat_{name}"
    source = DuckDBSource(
        name=table,
        query=f"select *, event_timestamp as valued_at from {table}",
        timestamp_field="event_timestamp",
        description=f"dbt model {table}",
    )
    keys = _fields(String, *(entity.join_key for entity in entities))
    return FeatureView(
        name=name,
        entities=entities,
        ttl=timedelta(0),
        schema=[*keys, *schema],
        source=source,
        online=True,
        description=description,
    )


customer = _view(
    "customer",
    [customer_entity],
    [
        *_windows("views", "carts", "purchases", "orders", "sessions"),
        *_fields(Float64, "revenue_28d", "revenue_90d", "conversion_28d", "avg_price_90d"),
        *_fields(Int64, "orders_total", "purchases_total", "products_total"),
        *_fields(Float64, "mean_order_gap_days", "repeat_share_90d"),
        *_fields(UnixTimestamp, "first_seen_at", "last_seen_at", "last_order_at"),
        *_fields(String, "country"),
    ],
    "What a customer did: counts over 7, 28 and 90 days, lifetime totals, rhythm.",
)

product = _view(
    "product",
    [product_entity],
    [
        *_windows("views", "carts", "purchases"),
        *_windows("buyers", days=(7, 14, 28, 90)),
        *_fields(Float64, "revenue_28d", "conversion_28d", "cart_rate_28d", "trend_7_28"),
        *_fields(Float64, "price", "price_change_28d", "repurchase_rate", "mean_repurchase_gap_days"),
        *_fields(Int64, "buyers_total"),
        *_fields(UnixTimestamp, "first_listed_at", "last_purchase_at"),
        *_fields(Bool, "available"),
        *_fields(String, "category_id"),
    ],
    "How wanted a product is, how it is priced, and how often its buyers come back for it.",
)

category = _view(
    "category",
    [category_entity],
    [
        *_windows("views", "carts", "purchases", "buyers"),
        *_fields(Float64, "revenue_28d", "conversion_28d", "trend_7_28", "avg_price_28d"),
    ],
    "How wanted a category is.",
)

customer_product = _view(
    "customer_product",
    [customer_entity, product_entity],
    [
        *_fields(Int64, "views_total", "carts_total", "orders_total", "quantity_total"),
        *_fields(UnixTimestamp, "last_view_at", "last_cart_at", "last_purchase_at", "first_purchase_at"),
        *_fields(Float64, "purchases_hl7", "purchases_hl28", "purchases_hl90", "views_hl7", "carts_hl7"),
        *_fields(Float64, "mean_gap_days"),
        *_fields(Int64, "customer_orders_at_first"),
        *_fields(UnixTimestamp, "valued_at"),
    ],
    "What a customer did with a product; decayed sums are valued at `valued_at`.",
)

customer_category = _view(
    "customer_category",
    [customer_entity, category_entity],
    [
        *_fields(Int64, "purchases_total", "views_total"),
        *_fields(Float64, "purchases_hl28", "purchases_hl90", "views_hl7", "revenue_total"),
        *_fields(UnixTimestamp, "last_purchase_at", "valued_at"),
    ],
    "What a customer did with a category; decayed sums are valued at `valued_at`.",
)

VIEWS: tuple[FeatureView, ...] = (customer, product, category, customer_product, customer_category)
