"""The customer model that live experiments run against."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_assets.simulation import Shop

N = 10


@pytest.fixture(scope="module")
def shop(spec):
    return Shop(spec)


@pytest.fixture(scope="module")
def day(spec):
    return spec.start + timedelta(days=6)


def _lists(spec, count, rng):
    return [[f"P{p:05d}" for p in rng.permutation(spec.products)[:N]] for _ in range(count)]


@pytest.fixture(scope="module")
def crowd(spec):
    rng = np.random.default_rng(3)
    customers = [f"C{c:06d}" for c in rng.integers(0, spec.customers, 6_000)]
    return customers, _lists(spec, len(customers), rng), [f"r{n}" for n in range(len(customers))]


def test_answers_are_the_same_alone_and_in_a_batch(shop, day, crowd):
    customers, shown, requests = (part[:20] for part in crowd)
    together = shop.answer_many(customers, shown, day, requests)
    for n, (customer, products, request) in enumerate(zip(customers, shown, requests, strict=True)):
        alone = shop.answer(customer, products, day, request)
        assert (alone.clicked[0] == together.clicked[n]).all()
        assert (alone.purchased[0] == together.purchased[n]).all()


def test_answers_do_not_depend_on_what_the_shop_did_before(spec, shop, day, crowd):
    fresh = Shop(spec)
    fresh.day(day + timedelta(days=2))
    assert (fresh.answer_many(*crowd[:2], day).clicked == shop.answer_many(*crowd[:2], day).clicked).all()


def test_clicks_fall_with_the_position(shop, day, crowd):
    clicked = shop.answer_many(*crowd[:2], day, crowd[2]).clicked
    by_position = clicked.reshape(len(clicked), -1).mean(axis=0)
    pairs = by_position.reshape(-1, 2).mean(axis=1)
    assert (np.diff(pairs) < 0).all()
    assert by_position[0] > 2 * by_position[-1]


def test_taste_decides(spec, shop, day, crowd):
    """Lists made for the customer do better than lists made for somebody else."""
    world = shop.world_on(day)
    customers = np.array([int(c[1:]) for c in crowd[0][:1500]])
    value = world.customers.style @ world.products.style.T
    value += np.log(world.customers.interest[:, world.products.category] + 1e-6)
    value[:, (world.products.launch > 6) | (world.products.retire <= 6)] = -np.inf
    best = [[f"P{p:05d}" for p in np.argsort(-value[c])[:N]] for c in customers]
    mine = shop.answer_many(crowd[0][:1500], best, day, crowd[2][:1500])
    others = shop.answer_many(crowd[0][:1500], best[1:] + best[:1], day, crowd[2][:1500])
    assert mine.clicked.mean() > 1.5 * others.clicked.mean()
    assert mine.purchased.sum() > others.purchased.sum()


def test_what_is_needed_again_is_taken(spec, shop, day, history):
    """What customers bought on the very day, they were likely to click had it been shown that morning."""
    rows = [r for r in history[6].events.to_pylist() if r["event_type"] == "purchase" and r["customer_id"]]
    rows = [r for r in rows if (r["product_id"] or "P9") < "P9"]
    customers = [r["customer_id"] for r in rows]
    bought = shop.answer_many(customers, [[r["product_id"]] for r in rows], day)
    random = shop.answer_many(customers, [x[:1] for x in _lists(spec, len(rows), np.random.default_rng(1))], day)
    assert bought.clicked.mean() > 2 * random.clicked.mean()


def test_strangers_answer_and_unknown_products_are_refused(shop, day):
    assert shop.answer("nobody", ["P00001", "P00002"], day).clicked.shape == (1, 2)
    with pytest.raises(ValueError, match="P77777"):
        shop.answer("C000001", ["P77777"], day)


def test_lengths_must_agree(shop, day):
    with pytest.raises(ValueError, match="equally long"):
        shop.answer_many(["C000001"], [["P00001"]], day, ["a", "b"])


def test_nobody_clicks_what_is_not_on_sale(shop, day):
    products = shop.world_on(day).products
    gone = np.flatnonzero(products.launch > 6)[:5]
    shown = [[f"P{p:05d}" for p in gone]] * 400
    answers = shop.answer_many([f"C{c:06d}" for c in range(400)], shown, day)
    assert not answers.clicked.any()


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_moving_a_product_up_never_loses_its_click(spec, shop, day, data):
    customer, k = data.draw(st.integers(0, 1_499)), data.draw(st.integers(1, 9))
    seed, request = data.draw(st.integers(0, 999)), data.draw(st.text(max_size=8))
    (shown,) = _lists(spec, 1, np.random.default_rng(seed))
    lower = shop.answer(f"C{customer:06d}", shown, day, request)
    raised = [shown[k], *shown[:k], *shown[k + 1 :]]
    higher = shop.answer(f"C{customer:06d}", raised, day, request)
    assert higher.clicked[0, 0] >= lower.clicked[0, k]
    assert higher.purchased[0, 0] >= lower.purchased[0, k]
    for answers in (lower, higher):
        assert (answers.purchased <= answers.carted).all() and (answers.carted <= answers.clicked).all()


def test_shorter_lists_are_padded_with_nothing(shop, day):
    answers = shop.answer_many(["C000001", "C000002"], [["P00001"], ["P00001", "P00002", "P00003"]], day)
    assert answers.clicked.shape == (2, 3)
    assert not answers.clicked[0, 1:].any()


def test_no_requests_no_answers(shop, day):
    assert shop.answer_many([], [], day).clicked.shape == (0, 0)
