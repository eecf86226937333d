"""One feature service per model: the stored features it trains on and is served with, in their order.

Those computed on top of them are declared in `feature_repo.derived`.
"""

from __future__ import annotations

from typing import Any

from feast import FeatureService, FeatureView
from feast.types import Bool, Float64, Int64

from feature_repo.declared_views import declared_objects
from feature_repo.entities import category as category_entity
from feature_repo.entities import customer as customer_entity
from feature_repo.entities import product as product_entity
from feature_repo.views import VIEWS, category, customer, customer_category, customer_product, product

_INPUTS_ONLY = ("_hl7", "_hl28", "_hl90", "customer_orders_at_first")
"""Endings of numbers that mean nothing by themselves: `transforms` brings them to `now`."""


def _numbers(view: FeatureView) -> Any:
    """Projection of a view on the numbers a model may read as they are."""
    chosen = [field for field in view.features if field.dtype in (Int64, Float64, Bool)]
    return view[[field.name for field in chosen if not field.name.endswith(_INPUTS_ONLY)]]


product_recommender = FeatureService(
    name="product_recommender",
    features=[_numbers(view) for view in VIEWS],
    description="Features of the ranker behind model product_recommender.",
)

SERVICES: tuple[FeatureService, ...] = (product_recommender,)
ENTITIES = (customer_entity, product_entity, category_entity)
BESIDE = declared_objects()
"""Entities, views and services that the feature files of other sources declare."""

globals().update({f"{type(each).__name__}_{each.name}": each for objects in BESIDE for each in objects})

# `feast apply` reads this module only and registers what it finds by name here.
__all__ = [
    "BESIDE",
    "ENTITIES",
    "SERVICES",
    "category",
    "category_entity",
    "customer",
    "customer_category",
    "customer_entity",
    "customer_product",
    "product",
    "product_entity",
    "product_recommender",
]
