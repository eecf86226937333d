"""The formulas of `derive`, against values computed by hand."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.transforms import DAY, INPUTS, NOW, OUTPUTS, decayed, derive, ratio

MOMENT = 1_700_000_000.0


def columns(**known: float) -> dict[str, np.ndarray]:
    filled = {name: np.array([np.nan]) for name in INPUTS}
    return {**filled, NOW: np.array([MOMENT]), **{name: np.array([value]) for name, value in known.items()}}


@pytest.mark.parametrize(
    ("feature", "inputs", "expected"),
    [
        ("pair_days_since_purchase", {"customer_product__last_purchase_at": MOMENT - 3 * DAY}, 3.0),
        (
            "pair_purchases_decayed_28d",
            {"customer_product__purchases_hl28": 4.0, "customer_product__valued_at": MOMENT - 28 * DAY},
            2.0,
        ),
        (
            "pair_order_share",
            {
                "customer_product__orders_total": 3.0,
                "customer__orders_total": 10.0,
                "customer_product__customer_orders_at_first": 4.0,
            },
            0.5,
        ),
        (
            "pair_dueness",
            {
                "customer_product__last_purchase_at": MOMENT - 14 * DAY,
                "customer_product__mean_gap_days": 7.0,
            },
            2.0,
        ),
        ("price_to_customer", {"product__price": 6.0, "customer__avg_price_90d": 4.0}, 1.5),
        ("product_buyer_momentum", {"product__buyers_7d": 5.0, "product__buyers_28d": 10.0}, 2.0),
        (
            "affinity_purchase_share",
            {"customer_category__purchases_total": 2.0, "customer__purchases_total": 8.0},
            0.25,
        ),
    ],
)
def test_value_by_hand(feature, inputs, expected):
    assert derive(columns(**inputs))[feature][0] == pytest.approx(expected)


def test_unknown_inputs_give_unknown_outputs():
    derived = derive(columns())
    assert all(np.isnan(values[0]) for values in derived.values())


def test_outputs_are_named_and_collide_with_no_input():
    assert tuple(derive(columns())) == OUTPUTS
    assert not set(OUTPUTS) & {name.partition("__")[2] for name in INPUTS}


def test_ratio_over_nothing_is_unknown():
    numerator, denominator = np.array([1.0, 1.0, 0.0, np.nan, 6.0]), np.array([0.0, np.nan, 0.0, 2.0, 3.0])
    assert np.array_equal(ratio(numerator, denominator), [np.nan] * 4 + [2.0], equal_nan=True)


def test_a_count_valued_later_than_now_counts_in_full():
    one = np.array([1.0])
    assert decayed(one, np.array([MOMENT + DAY]), np.array([MOMENT]), 7.0)[0] == 1.0


values = st.one_of(st.just(np.nan), st.just(0.0), st.floats(-1e12, 1e12))


@given(st.lists(values, min_size=len(INPUTS), max_size=len(INPUTS)), values)
def test_never_warns_and_rows_do_not_depend_on_each_other(drawn, now):
    row = {name: np.array([value]) for name, value in zip(INPUTS, drawn, strict=True)} | {NOW: np.array([now])}
    pair = {name: np.array([5.0, value[0]]) for name, value in row.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        alone, beside = derive(row), derive(pair)
    for name in OUTPUTS:
        assert np.allclose(alone[name], beside[name][1:], rtol=1e-12, equal_nan=True)
