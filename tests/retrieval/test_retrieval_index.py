from __future__ import annotations

from dataclasses import fields
from datetime import date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_history import AS_OF, START, make_catalogue, make_interactions

from ml_assets.config.retrieval_config import RetrievalSpec
from ml_assets.retrieval.index import RetrievalIndex, build_index
from ml_assets.retrieval.store import IndexFilesError


def table(*rows: tuple[str, str, date, int, int, int, str]) -> pa.Table:
    names = ("customer_id", "product_id", "event_day", "views", "carts", "orders", "session_id")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    return pa.table(columns).append_column("quantity", pa.array([1] * len(rows)))


def listed(*products: str, day: date = START) -> pa.Table:
    return pa.table(
        {
            "product_id": list(products),
            "event_day": [day] * len(products),
            "category_id": ["k"] * len(products),
            "available": [True] * len(products),
        }
    )


def identical(left: RetrievalIndex, right: RetrievalIndex) -> bool:
    for field in fields(left):
        one, other = getattr(left, field.name), getattr(right, field.name)
        if hasattr(one, "indptr"):
            one, other = one.toarray(), other.toarray()
        if not np.array_equal(one, other):
            return False
    return True


@settings(max_examples=15, deadline=None)
@given(decision=st.integers(1, 58), seed=st.integers(0, 3))
def test_nothing_on_or_after_the_decision_is_known(decision, seed, small_spec):
    interactions, catalogue = make_interactions(rows=300, seed=seed), make_catalogue()
    day = START + timedelta(days=decision)
    as_of = datetime(day.year, day.month, day.day)
    past = interactions.filter(pc.less(interactions["event_day"], day))
    known = catalogue.filter(pc.less(catalogue["event_day"], day))
    assert identical(
        build_index(interactions, catalogue, as_of, small_spec), build_index(past, known, as_of, small_spec)
    )


def test_events_older_than_the_history_are_not_read(interactions, catalogue):
    short = RetrievalSpec(history_days=10)
    since = AS_OF.date() - timedelta(days=10)
    late = interactions.filter(pc.greater_equal(interactions["event_day"], since))
    assert identical(build_index(interactions, catalogue, AS_OF, short), build_index(late, catalogue, AS_OF, short))


def test_the_order_of_the_rows_does_not_matter_for_what_is_known(index, interactions, catalogue, small_spec):
    shuffled = interactions.take(np.random.default_rng(0).permutation(len(interactions)))
    other = build_index(shuffled, catalogue, AS_OF, small_spec)
    np.testing.assert_allclose(other.bought.toarray(), index.bought.toarray(), rtol=1e-6)
    np.testing.assert_allclose(other.popular, index.popular, rtol=1e-6)


def test_the_same_index_gives_the_same_bytes_and_comes_back_the_same(
    index, interactions, catalogue, small_spec, tmp_path
):
    again = build_index(interactions, catalogue, AS_OF, small_spec)
    for name, one in (("a", index), ("b", again)):
        (tmp_path / name).mkdir()
        one.save(tmp_path / name)
    for file in ("arrays.npz", "index.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    loaded = RetrievalIndex.load(tmp_path / "a")
    assert identical(loaded, index)
    before, after = index.candidates(index.customers), loaded.candidates(index.customers)
    assert np.array_equal(before.product, after.product)
    assert np.array_equal(before.scores, after.scores, equal_nan=True)


def test_a_damaged_or_missing_file_is_named(index, tmp_path):
    with pytest.raises(IndexFilesError, match="no retrieval index"):
        RetrievalIndex.load(tmp_path)
    index.save(tmp_path)
    arrays = tmp_path / "arrays.npz"
    arrays.write_bytes(arrays.read_bytes()[:-7])
    with pytest.raises(IndexFilesError, match=r"arrays\.npz is not the file"):
        RetrievalIndex.load(tmp_path)


def test_an_index_of_another_format_is_refused(index, tmp_path):
    index.save(tmp_path)
    described = tmp_path / "index.json"
    described.write_text(described.read_text().replace('"format": 1', '"format": 99'))
    with pytest.raises(IndexFilesError, match="format 99"):
        RetrievalIndex.load(tmp_path)


def test_purchases_halve_with_their_age():
    day = AS_OF.date()
    rows = [("c", "p", day - timedelta(days=age), 0, 0, 1, f"s{age}") for age in (28, 56)]
    index = build_index(table(*rows), listed("p"), AS_OF, RetrievalSpec(half_life_days=28))
    assert index.bought.toarray().item() == pytest.approx(0.5 + 0.25)


def test_co_purchases_are_bought_in_one_basket_and_fade():
    day = AS_OF.date()
    rows = [
        ("c", "a", day - timedelta(days=28), 0, 0, 1, "old"),
        ("c", "b", day - timedelta(days=28), 0, 0, 1, "old"),
    ]
    rows += [
        ("d", "a", day - timedelta(days=1), 0, 0, 1, "new"),
        ("d", "c", day - timedelta(days=1), 0, 0, 1, "new"),
    ]
    index = build_index(table(*rows), listed("a", "b", "c"), AS_OF, RetrievalSpec(half_life_days=28))
    beside_a = index.co_purchase[0].toarray().ravel()
    assert beside_a[0] == 0
    assert beside_a[2] > beside_a[1] > 0
    assert index.co_purchase[1, 2] == 0


def test_co_visitation_runs_from_what_was_seen_to_what_was_taken():
    day = AS_OF.date() - timedelta(days=1)
    rows = [("c", "seen", day, 3, 0, 0, "s"), ("c", "taken", day, 0, 0, 1, "s")]
    index = build_index(table(*rows), listed("seen", "taken"), AS_OF, RetrievalSpec())
    assert index.co_visitation[0, 1] > 0
    assert index.co_visitation[1, 0] == 0


def test_similar_customers_recommend_what_they_bought_lately_and_not_themselves():
    day = AS_OF.date()
    rows = [(who, "shared", day - timedelta(days=40), 0, 0, 1, f"{who}1") for who in ("a", "b")]
    rows += [
        ("x", "other", day - timedelta(days=40), 0, 0, 1, "x1"),
        ("x", "far", day - timedelta(days=2), 0, 0, 1, "x2"),
    ]
    rows += [
        ("b", "near", day - timedelta(days=2), 0, 0, 1, "b2"),
        ("a", "mine", day - timedelta(days=2), 0, 0, 1, "a2"),
    ]
    names = ("far", "mine", "near", "other", "shared")
    index = build_index(table(*rows), listed(*names), AS_OF, RetrievalSpec())
    found = index.candidates(["a"])
    similar = {names[at]: score for at, score in zip(found.product, found.scores[:, 3], strict=True)}
    assert similar["near"] > 0
    assert np.isnan([similar["far"], similar["mine"], similar["shared"]]).all()


def test_a_retired_product_is_known_but_never_nominated(index):
    retired = index.products.index("p001")
    assert not index.available[retired]
    assert retired not in index.candidates(index.customers).product


def test_a_launch_is_nominated_without_anybody_having_bought_it():
    rows = [("c", "old", AS_OF.date() - timedelta(days=9), 0, 0, 1, "s")]
    catalogue = pa.concat_tables([listed("old"), listed("new", day=AS_OF.date() - timedelta(days=13))])
    index = build_index(table(*rows), catalogue, AS_OF, RetrievalSpec(popular=0, launch_days=14))
    assert [index.products[at] for at in index.candidates(["stranger"]).product] == ["new"]
    earlier = RetrievalSpec(popular=0, launch_days=12)
    assert len(build_index(table(*rows), catalogue, AS_OF, earlier).candidates(["stranger"]).product) == 0


def test_a_shop_without_a_single_event_offers_its_catalogue():
    nothing = make_interactions(rows=10).slice(0, 0)
    index = build_index(nothing, listed("a", "b"), AS_OF, RetrievalSpec())
    assert len(index.candidates(["c"]).product) == 2
