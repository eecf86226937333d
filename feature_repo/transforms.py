"""Every feature computed at request time, written once: pure numpy, for training and serving alike.

Whatever asks for derived features calls `derive`, by way of `feature_repo.derived`. Inputs are columns of float64 named
`<view>__<feature>` (timestamps as unix seconds) plus `now`; NaN means unknown and spreads to whatever is computed from
it. Nothing here divides by zero: a ratio over nothing is NaN.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
DAY = 86_400.0
NOW = "now"

INPUTS: tuple[str, ...] = (
    "customer__orders_90d",
    "customer__purchases_90d",
    "customer__revenue_90d",
    "customer__avg_price_90d",
    "customer__orders_total",
    "customer__purchases_total",
    "customer__mean_order_gap_days",
    "customer__first_seen_at",
    "customer__last_seen_at",
    "customer__last_order_at",
    "product__purchases_28d",
    "product__buyers_7d",
    "product__buyers_28d",
    "product__price",
    "product__repurchase_rate",
    "product__mean_repurchase_gap_days",
    "product__first_listed_at",
    "product__last_purchase_at",
    "category__purchases_28d",
    "category__buyers_28d",
    "category__avg_price_28d",
    "customer_product__orders_total",
    "customer_product__quantity_total",
    "customer_product__last_view_at",
    "customer_product__last_cart_at",
    "customer_product__last_purchase_at",
    "customer_product__first_purchase_at",
    "customer_product__purchases_hl7",
    "customer_product__purchases_hl28",
    "customer_product__purchases_hl90",
    "customer_product__views_hl7",
    "customer_product__carts_hl7",
    "customer_product__mean_gap_days",
    "customer_product__customer_orders_at_first",
    "customer_product__valued_at",
    "customer_category__purchases_total",
    "customer_category__purchases_hl28",
    "customer_category__purchases_hl90",
    "customer_category__views_hl7",
    "customer_category__revenue_total",
    "customer_category__last_purchase_at",
    "customer_category__valued_at",
)
"""Columns `derive` reads besides `now`, as `<view>__<feature>`."""


def derive(columns: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Compute the derived features of n rows; `columns` maps INPUTS and `now` to float64 [n]."""
    return {**_pair(columns), **_affinity(columns), **_customer(columns), **_product(columns)}


def _pair(c: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """What this customer did with this product.

    `pair_order_share`: share of the customer's orders since the first purchase of the product that hold it.
    `pair_dueness`: time since the last purchase in units of the customer's own mean gap for the product;
    `pair_product_dueness`: in units of all buyers' mean gap. 1 means "about now".
    `pair_expected_repurchase`: decayed own purchases x share of the product's buyers who come back for it.
    """
    now, valued_at = c[NOW], c["customer_product__valued_at"]
    since_purchase = _days(now, c["customer_product__last_purchase_at"])
    bought = decayed(c["customer_product__purchases_hl28"], valued_at, now, 28.0)
    orders_since = c["customer__orders_total"] - c["customer_product__customer_orders_at_first"]
    return {
        "pair_days_since_view": _days(now, c["customer_product__last_view_at"]),
        "pair_days_since_cart": _days(now, c["customer_product__last_cart_at"]),
        "pair_days_since_purchase": since_purchase,
        "pair_days_since_first_purchase": _days(now, c["customer_product__first_purchase_at"]),
        "pair_purchases_decayed_7d": decayed(c["customer_product__purchases_hl7"], valued_at, now, 7.0),
        "pair_purchases_decayed_28d": bought,
        "pair_purchases_decayed_90d": decayed(c["customer_product__purchases_hl90"], valued_at, now, 90.0),
        "pair_views_decayed_7d": decayed(c["customer_product__views_hl7"], valued_at, now, 7.0),
        "pair_carts_decayed_7d": decayed(c["customer_product__carts_hl7"], valued_at, now, 7.0),
        "pair_order_share": ratio(c["customer_product__orders_total"], orders_since),
        "pair_quantity_per_order": ratio(c["customer_product__quantity_total"], c["customer_product__orders_total"]),
        "pair_dueness": ratio(since_purchase, c["customer_product__mean_gap_days"]),
        "pair_product_dueness": ratio(since_purchase, c["product__mean_repurchase_gap_days"]),
        "pair_expected_repurchase": bought * c["product__repurchase_rate"],
    }


def _affinity(c: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """What this customer did with this category; shares are of the customer's purchase lines and revenue."""
    now, valued_at = c[NOW], c["customer_category__valued_at"]
    bought = c["customer_category__purchases_total"]
    return {
        "affinity_purchase_share": ratio(bought, c["customer__purchases_total"]),
        "affinity_mean_price": ratio(c["customer_category__revenue_total"], bought),
        "affinity_purchases_decayed_28d": decayed(c["customer_category__purchases_hl28"], valued_at, now, 28.0),
        "affinity_purchases_decayed_90d": decayed(c["customer_category__purchases_hl90"], valued_at, now, 90.0),
        "affinity_views_decayed_7d": decayed(c["customer_category__views_hl7"], valued_at, now, 7.0),
        "affinity_days_since_purchase": _days(now, c["customer_category__last_purchase_at"]),
    }


def _customer(c: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """When this customer was here, and how the product's price sits beside what they pay.

    `customer_order_dueness`: days since the last order in units of the mean gap between orders.
    """
    since_order = _days(c[NOW], c["customer__last_order_at"])
    return {
        "customer_days_since_seen": _days(c[NOW], c["customer__last_seen_at"]),
        "customer_days_since_order": since_order,
        "customer_age_days": _days(c[NOW], c["customer__first_seen_at"]),
        "customer_order_dueness": ratio(since_order, c["customer__mean_order_gap_days"]),
        "customer_order_value_90d": ratio(c["customer__revenue_90d"], c["customer__orders_90d"]),
        "customer_basket_lines_90d": ratio(c["customer__purchases_90d"], c["customer__orders_90d"]),
        "price_to_customer": ratio(c["product__price"], c["customer__avg_price_90d"]),
    }


def _product(c: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """How new and how wanted this product is, also within its category.

    `product_buyer_momentum`: buyers per day of the last 7 days over those of the last 28.
    """
    return {
        "product_days_since_purchase": _days(c[NOW], c["product__last_purchase_at"]),
        "product_days_since_listed": _days(c[NOW], c["product__first_listed_at"]),
        "product_buyer_momentum": ratio(c["product__buyers_7d"] * 4.0, c["product__buyers_28d"]),
        "product_category_share_28d": ratio(c["product__purchases_28d"], c["category__purchases_28d"]),
        "product_category_reach_28d": ratio(c["product__buyers_28d"], c["category__buyers_28d"]),
        "price_to_category": ratio(c["product__price"], c["category__avg_price_28d"]),
    }


def ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """`numerator / denominator` where the denominator is more than nothing (1e-9), else NaN."""
    filled = np.full(np.broadcast(numerator, denominator).shape, np.nan)
    np.divide(numerator, denominator, out=filled, where=denominator > 1e-9)
    return filled


def decayed(value: FloatArray, valued_at: FloatArray, now: FloatArray, half_life_days: float) -> FloatArray:
    """A decayed count brought to `now`: `value * 2^(-age / half-life)`, age in days, 0 or more."""
    return value * np.exp2(np.maximum(_days(now, valued_at), 0.0) / -half_life_days)


def _days(later: FloatArray, earlier: FloatArray) -> FloatArray:
    return (later - earlier) / DAY


OUTPUTS: tuple[str, ...] = tuple(derive({name: np.empty(0) for name in (*INPUTS, NOW)}))
"""Names of the derived features, in order."""
