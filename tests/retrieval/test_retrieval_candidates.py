from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_history import AS_OF, make_catalogue, make_interactions

from ml_assets.config.retrieval_config import RetrievalSpec
from ml_assets.retrieval.candidates import Candidates
from ml_assets.retrieval.index import RetrievalIndex, SessionEvent, build_index
from ml_assets.retrieval.sources import SOURCES

QUOTA = st.integers(0, 12)


def same(left: Candidates, right: Candidates) -> bool:
    return (
        np.array_equal(left.row_customer, right.row_customer)
        and np.array_equal(left.product, right.product)
        and np.array_equal(left.scores, right.scores, equal_nan=True)
    )


def of(found: Candidates, row: int) -> list[int]:
    return found.product[found.row_customer == row].tolist()


@settings(max_examples=25, deadline=None)
@given(
    total=st.integers(1, 40),
    quotas=st.fixed_dictionaries(dict.fromkeys(SOURCES, QUOTA)),
    seed=st.integers(0, 5),
)
def test_no_duplicates_no_retired_products_and_never_more_than_the_quotas(total, quotas, seed):
    spec = RetrievalSpec(total=total, **quotas)
    index = build_index(make_interactions(rows=300, seed=seed), make_catalogue(), AS_OF, spec)
    found = index.candidates(index.customers)
    pairs = list(zip(found.row_customer.tolist(), found.product.tolist(), strict=True))
    assert len(pairs) == len(set(pairs))
    assert all(index.available[product] for _, product in pairs)
    most = total if quotas["popular"] else min(total, sum(quotas.values()))
    assert all(count <= most for count in Counter(found.row_customer.tolist()).values())
    if quotas["popular"]:
        filled = min(total, int(index.available.sum()))
        assert Counter(found.row_customer.tolist()) == dict.fromkeys(range(len(index.customers)), filled)


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_alone_nominates_its_best_and_no_more_than_its_quota(index, name):
    quotas = dict.fromkeys(SOURCES, 0) | {name: 3}
    alone = replace(index, spec=index.spec.model_copy(update={**quotas, "total": 3}))
    found = alone.candidates(index.customers)
    assert len(found.product)
    column = list(SOURCES).index(name)
    everything = replace(index, spec=index.spec.model_copy(update={"total": len(index.products), "popular": 1}))
    full = everything.candidates(index.customers)
    for row in range(len(index.customers)):
        scores = full.scores[full.row_customer == row, column]
        best = np.sort(scores[~np.isnan(scores)])[::-1][:3]
        mine = found.scores[found.row_customer == row, column]
        np.testing.assert_array_equal(mine[~np.isnan(mine)], best)


def test_every_candidate_gets_every_source_s_score(index):
    found = index.candidates(index.customers)
    popular = found.scores[:, list(SOURCES).index("popular")]
    np.testing.assert_array_equal(popular, np.where(index.popular > 0, index.popular, np.nan)[found.product])
    own = found.scores[:, list(SOURCES).index("own")]
    history = (index.bought + index.seen).toarray()[found.row_customer, found.product]
    np.testing.assert_allclose(own, np.where(history > 0, history, np.nan), rtol=1e-6)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), rows=st.integers(50, 900), asked=st.integers(1, 40))
def test_a_customer_s_candidates_do_not_depend_on_who_else_is_asked(seed, rows, asked):
    spec = RetrievalSpec(total=15, similar_customers=asked)
    index = build_index(make_interactions(rows=rows, seed=seed), make_catalogue(), AS_OF, spec)
    together = index.candidates(index.customers)
    for row, customer in enumerate(index.customers):
        alone, request = index.candidates([customer]), index.for_request(customer)
        mine = together.row_customer == row
        assert np.array_equal(alone.product, together.product[mine])
        assert np.array_equal(alone.scores, together.scores[mine], equal_nan=True)
        assert same(alone, request)


@pytest.mark.parametrize("stranger", ["nobody", "", None])
def test_an_unknown_customer_gets_what_is_popular_and_launches(index, stranger):
    found = index.for_request(stranger)
    by_popularity = np.argsort(-np.where(index.available, index.popular, -1), kind="stable")
    launched = np.flatnonzero(index.launches).tolist()
    assert set(launched) <= set(found.product.tolist())
    assert set(by_popularity[: index.spec.popular].tolist()) <= set(found.product.tolist())
    own = [list(SOURCES).index(name) for name in ("own", "co_purchase", "co_visitation", "similar")]
    assert np.isnan(found.scores[:, own]).all()


def test_an_unknown_customer_among_known_ones(index):
    found = index.candidates([index.customers[0], "nobody", index.customers[1]])
    assert of(found, 1) == index.for_request(None).product.tolist()
    assert of(found, 2) == of(index.candidates([index.customers[1]]), 0)


def test_a_session_extends_the_history(index):
    seen = max(range(len(index.products)), key=lambda product: index.co_visitation[product].nnz)
    found = index.for_request(None, [SessionEvent(index.products[seen], "view")])
    column = list(SOURCES).index("co_visitation")
    nominated = set(found.product[~np.isnan(found.scores[:, column])].tolist())
    follows = index.co_visitation[seen].toarray().ravel() * index.available
    best = np.argsort(-follows, kind="stable")[: index.spec.co_visitation]
    assert set(best[follows[best] > 0].tolist()) <= nominated


def test_unknown_products_of_a_session_are_reported_and_change_nothing(index):
    events = [SessionEvent("no such", "view"), SessionEvent("p003", "cart"), SessionEvent("no such", "cart")]
    found = index.for_request("c001", events)
    assert found.unknown_products == ("no such",)
    assert same(found, index.for_request("c001", [SessionEvent("p003", "cart")]))


def test_an_unknown_event_type_is_named(index):
    with pytest.raises(ValueError, match="'sale' is none of view, cart, purchase"):
        index.for_request("c001", [SessionEvent("p003", "sale")])


def test_products_can_be_scored_instead_of_nominated(index):
    asked = ["p005", "p001", "what", "p005", "p000"]
    found = index.for_request("c002", products=asked)
    assert [index.products[at] for at in found.product] == ["p005", "p001", "p000"]
    assert found.unknown_products == ("what",)
    nominated = index.candidates(["c002"])
    for at, product in enumerate(found.product):
        where = nominated.product == product
        if where.any():
            np.testing.assert_array_equal(found.scores[at], nominated.scores[where][0])


def test_nobody_asked_nothing_found(index):
    found = index.candidates([])
    assert found.scores.shape == (0, len(SOURCES))


def test_large_requests_are_scored_in_batches(index: RetrievalIndex, monkeypatch):
    whole = index.candidates(index.customers)
    monkeypatch.setattr("ml_assets.retrieval.candidates.CELLS", 3 * len(index.products))
    assert same(index.candidates(index.customers), whole)
