from __future__ import annotations

from datetime import date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_assets.datasets import ranking_baselines as baselines
from ml_assets.datasets.ranking_baselines import BASELINES, baseline_lists, purchase_history

DECISION = datetime(2026, 3, 2)
LISTED = date(2026, 1, 1)


def bought(*rows: tuple[str, str, int]) -> pa.Table:
    """Purchases: customer, product, days before the decision."""
    days = [DECISION.date() - timedelta(days=age) for _, _, age in rows]
    ones = np.ones(len(rows), dtype=np.int32)
    return pa.table(
        {
            "customer_id": pa.array([row[0] for row in rows], pa.string()),
            "product_id": pa.array([row[1] for row in rows], pa.string()),
            "event_day": pa.array(days, pa.date32()),
            "session_id": pa.array([f"{row[0]}/{row[2]}" for row in rows], pa.string()),
            "views": ones - 1,
            "carts": ones - 1,
            "orders": ones,
        }
    )


def listed(*products: str, available: bool = True, day: date = LISTED) -> pa.Table:
    return pa.table(
        {
            "product_id": list(products),
            "event_day": [day] * len(products),
            "category_id": ["k"] * len(products),
            "available": [available] * len(products),
        }
    )


def asking(*customers: str, at: datetime = DECISION) -> pa.Table:
    stamps = pa.array([at] * len(customers), pa.timestamp("us"))
    return pa.table({"customer_id": list(customers), "decision_ts": stamps})


def ranked(found: pa.Table, contender: str, customer: str) -> list[str]:
    mine = found.filter(pc.and_(pc.equal(found["contender"], contender), pc.equal(found["customer_id"], customer)))
    assert mine["rank"].to_pylist() == list(range(1, len(mine) + 1))
    return mine["product_id"].to_pylist()


SHOP = bought(
    *[("ann", "tea", age) for age in (5, 30, 60)],
    ("ann", "jam", 5),
    ("bob", "tea", 10),
    ("bob", "mug", 10),
    ("cat", "mug", 3),
    ("dan", "mug", 2),
    ("dan", "old", 90),
)
SHELF = listed("tea", "jam", "mug", "old", "new")


def test_popularity_counts_buyers_of_the_last_28_days():
    found = baseline_lists(SHOP, SHELF, asking("ann", "nobody"), length=3)
    assert ranked(found, "popularity", "ann") == ["mug", "tea", "jam"]
    assert ranked(found, "popularity", "nobody") == ["mug", "tea", "jam"]


def test_own_frequency_counts_baskets_and_then_what_is_popular():
    found = baseline_lists(SHOP, SHELF, asking("ann"), length=3, names=["own_frequency"])
    assert ranked(found, "own_frequency", "ann") == ["tea", "jam", "mug"]


def test_item_knn_is_the_sum_of_cosines_to_what_was_bought():
    history = purchase_history(SHOP, SHELF, DECISION)
    at = np.array([history.customers.index("cat")])
    scores = dict(zip(history.products, BASELINES["item_knn"](history, at)[0], strict=True))
    assert scores["tea"] == pytest.approx(1 / np.sqrt(2 * 3))  # bob of two tea and three mug buyers
    assert scores["mug"] == 0
    assert scores["jam"] == 0


def test_decayed_item_knn_keeps_what_the_customer_buys_himself():
    found = baseline_lists(SHOP, SHELF, asking("ann"), length=1, names=["item_knn_decayed"])
    assert ranked(found, "item_knn_decayed", "ann") == ["tea"]


def test_ease_has_the_closed_form_of_the_paper():
    history = purchase_history(SHOP, SHELF, DECISION)
    x = history.bought.toarray().astype(np.float64)
    inverse = np.linalg.inv(x.T @ x + baselines.RIDGE * np.eye(x.shape[1]))
    expected = np.eye(x.shape[1]) - inverse / np.diag(inverse)
    kept, weights = history.ease
    order = np.argsort(kept)
    np.testing.assert_array_equal(kept[order], np.arange(x.shape[1]))
    np.testing.assert_allclose(weights, expected, atol=1e-6)


def test_ease_of_a_large_catalogue_knows_the_most_bought_products_only(monkeypatch):
    monkeypatch.setattr(baselines, "EASE_PRODUCTS", 2)
    history = purchase_history(SHOP, SHELF, DECISION)
    kept, _ = history.ease
    assert [history.products[at] for at in kept] == ["mug", "tea"]
    scores = BASELINES["ease"](history, np.array([history.customers.index("cat")]))
    assert (scores[0, [history.products.index("jam"), history.products.index("old")]] == 0).all()


def test_a_retired_product_is_not_ranked_and_an_unsold_one_comes_last():
    shelf = pa.concat_tables([SHELF, listed("mug", available=False, day=date(2026, 2, 28))])
    found = baseline_lists(SHOP, shelf, asking("ann", "nobody"), length=5)
    for contender in BASELINES:
        for customer in ("ann", "nobody"):
            products = ranked(found, contender, customer)
            assert "mug" not in products
            assert len(products) == 4


@settings(max_examples=20, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.sampled_from("abcd"), st.sampled_from(["p1", "p2", "p3", "p4"]), st.integers(-20, 80)),
        min_size=1,
        max_size=40,
        unique=True,
    )
)
def test_nothing_from_the_decision_day_on_changes_a_list(rows):
    past = [row for row in rows if row[2] >= 1]
    shelf = listed("p1", "p2", "p3", "p4")
    today = DECISION.date()
    later = pa.concat_tables([shelf, listed("p2", available=False, day=today), listed("p9", day=today)])
    customers = asking("a", "b", "c", "d")
    seen = baseline_lists(bought(*past), shelf, customers)
    assert seen.equals(baseline_lists(bought(*rows), later, customers))


def test_lists_are_complete_and_deterministic_however_the_pairs_come(monkeypatch):
    early = datetime(2026, 2, 9)
    pairs = pa.concat_tables([asking("bob", "ann", "bob"), asking("ann", at=early)])
    found = baseline_lists(SHOP, SHELF, pairs, length=4)
    monkeypatch.setattr(baselines, "ROWS_AT_ONCE", 1)
    again = baseline_lists(SHOP, SHELF, pairs.take([3, 1, 0]), length=4)
    assert again.equals(found)
    assert found.num_rows == len(BASELINES) * 3 * 4


def test_an_unknown_baseline_is_named():
    with pytest.raises(KeyError, match="svd"):
        baseline_lists(SHOP, SHELF, asking("ann"), names=["svd"])


def test_nobody_asked_gives_an_empty_table():
    found = baseline_lists(SHOP, SHELF, asking())
    assert found.num_rows == 0
    assert found.column_names == ["contender", "customer_id", "decision_ts", "product_id", "rank", "score"]
