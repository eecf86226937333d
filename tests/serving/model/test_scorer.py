"""One request to one answer: what it is made of, what exploring changes, and what is left when nothing is there."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest

from feature_repo.stores.description import OnlineStoreError
from ml_assets.config.retrieval_config import RetrievalSpec
from ml_assets.retrieval.index import SessionEvent, build_index
from serving.model import fallback
from serving.model.breaker import State
from serving.model.loader import load
from serving.model.scorer import CANDIDATES, FEATURES, score
from serving.schemas import RecommendRequest
from serving.schemas import SessionEvent as Event

SERVICE = "product_recommender"
REQUEST = RecommendRequest(customer="u1")


@pytest.fixture
def loaded(shop):
    """Waits for features as long as a busy machine needs."""
    return load(shop.pointer(shop.version(1)), SERVICE, feature_timeout_ms=5000)


def columns(loaded, prefix):
    return [position for position, name in enumerate(loaded.features) if name.startswith(prefix)]


def test_every_list_of_an_answer_is_of_the_shown_products(loaded):
    answer = score(loaded, REQUEST, 7)
    index = loaded.index
    assert answer.categories == [index.categories[index.product_positions[product]] for product in answer.products]
    assert answer.propensities == [1.0] * 7
    assert [len(part) for part in (answer.products, answer.scores, answer.features, answer.sources)] == [7] * 4


def test_sources_are_those_with_a_score(loaded):
    answer = score(loaded, REQUEST, 20)
    for row, sources in zip(answer.features, answer.sources, strict=True):
        scored = [name for position, name in enumerate(loaded.features) if np.isfinite(row[position])]
        assert sources == [name.partition("__")[2] for name in scored if name.startswith("retrieval__")]


def test_named_candidates_get_the_retrieval_scores_of_exactly_these(loaded):
    nominated = score(loaded, REQUEST, 200).products
    left_out = [product for product in loaded.index.products if product not in nominated][:3]
    named = [*nominated[:4], *left_out, "nobody-sells-this"]
    session = [Event(product=nominated[5], event_type="cart")]
    answer = score(loaded, RecommendRequest(customer="u1", session=session, candidates=named), 20)
    assert set(answer.products) == {*nominated[:4], *left_out}
    assert answer.unknown_products == ["nobody-sells-this"]
    pool = loaded.index.for_request("u1", [SessionEvent(nominated[5], "cart")], products=named)
    expected = {loaded.index.products[at]: row for at, row in zip(pool.product, pool.scores, strict=True)}
    retrieval = columns(loaded, "retrieval__")
    assert [loaded.features[at] for at in retrieval] == [f"retrieval__{name}" for name in pool.source_names]
    for product, row in zip(answer.products, answer.features, strict=True):
        assert np.array_equal(row[retrieval], expected[product], equal_nan=True)


def test_exploring_changes_the_last_position_only_and_says_how_probably(loaded):
    greedy, ranked = score(loaded, REQUEST, 5), score(loaded, REQUEST, 200)
    place = {product: position for position, product in enumerate(ranked.products)}
    explored = 0
    for seed in range(40):
        answer = score(loaded, REQUEST, 5, explore=0.4, rng=np.random.default_rng(seed))
        again = score(loaded, REQUEST, 5, explore=0.4, rng=np.random.default_rng(seed))
        assert answer.products == again.products
        assert answer.products[:4] == greedy.products[:4]
        at = place[answer.products[4]]
        assert at >= 4
        assert answer.propensities == [1.0] * 4 + [0.6 if at == 4 else 0.4 / (ranked.ranked - 5)]
        assert answer.scores[4] == ranked.scores[at]
        assert np.array_equal(answer.features[4], ranked.features[at], equal_nan=True)
        assert answer.sources[4] == ranked.sources[at]
        assert answer.categories[4] == ranked.categories[at]
        explored += at > 4
    assert 5 < explored < 30


def test_a_store_that_goes_away_degrades_answers_until_it_is_back(loaded, shop, monkeypatch):
    now = [0.0]
    breaker = loaded.reader.store.breaker
    monkeypatch.setattr(breaker, "_clock", lambda: now[0])
    path, away = shop.settings.online_store, shop.settings.home / "away.db"
    whole = score(loaded, REQUEST, 5)
    path.rename(away)
    without = [score(loaded, REQUEST, 5) for _ in range(10)]
    assert breaker.state is State.OPEN
    assert all(answer.degraded == [FEATURES] for answer in without)
    assert all(len(answer.products) == 5 and answer.customer_known for answer in without)
    assert np.isnan(without[0].features[:, columns(loaded, "customer__")]).all()
    away.rename(path)
    assert score(loaded, REQUEST, 5).degraded == [FEATURES], "it is left alone for a while"
    now[0] += 60.0
    assert score(loaded, REQUEST, 5).products == whole.products
    assert score(loaded, REQUEST, 5).degraded == []


def test_a_fault_of_the_code_is_not_taken_for_a_fault_of_the_store(loaded):
    class Wrong:
        feature_names = loaded.reader.feature_names

        def read(self, *args):
            raise TypeError("a bug")

    with pytest.raises(TypeError, match="a bug"):
        score(replace(loaded, reader=Wrong()), REQUEST, 5)
    assert issubclass(OnlineStoreError, RuntimeError)


def test_an_empty_shop_is_answered_with_nothing(loaded):
    events = {
        "customer_id": pa.string(),
        "product_id": pa.string(),
        "event_day": pa.date32(),
        "views": pa.int64(),
        "carts": pa.int64(),
        "orders": pa.int64(),
        "quantity": pa.int64(),
        "session_id": pa.string(),
    }
    catalogue = {
        "product_id": pa.string(),
        "event_day": pa.date32(),
        "category_id": pa.string(),
        "available": pa.bool_(),
    }
    empty = (pa.schema(list(fields.items())).empty_table() for fields in (events, catalogue))
    index = build_index(*empty, datetime(2026, 3, 2), RetrievalSpec())
    answer = score(replace(loaded, index=index), REQUEST, 5, explore=0.5, rng=np.random.default_rng(1))
    assert answer.degraded == [CANDIDATES]
    assert (answer.products, answer.categories, answer.propensities, answer.sources) == ([], [], [], [])
    assert answer.features.shape == (0, len(loaded.features))
    assert fallback.from_index(index).answer(5).products == []
