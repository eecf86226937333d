"""Popularity: what it answers, and that only what was saved is read."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.retrieval.index import RetrievalIndex
from serving.model import fallback
from serving.model.fallback import Popular, PopularError

texts = st.text(min_size=1, max_size=20)
rows = st.lists(st.tuples(texts, texts, st.floats(0, 1e6, allow_nan=False)), max_size=30, unique_by=lambda row: row[0])


def popular_of(rows):
    return Popular(*(tuple(column) for column in zip(*rows, strict=True))) if rows else Popular((), (), ())


@given(rows, st.integers(1, 40), st.data())
def test_the_best_that_are_not_excluded_in_order(rows, k, data):
    popular = popular_of(rows)
    exclude = data.draw(st.sets(st.sampled_from(popular.products))) if rows else set()
    answer = popular.answer(k, exclude)
    expected = [row for row in rows if row[0] not in exclude][:k]
    assert answer.products == [product for product, _, _ in expected]
    assert answer.categories == [category for _, category, _ in expected]
    assert np.array_equal(answer.scores, np.array([score for _, _, score in expected], dtype=np.float32))
    assert answer.features.shape == (len(expected), 0)
    assert answer.sources == [["popular"]] * len(expected)
    assert answer.propensities == [1.0] * len(expected)


@given(rows=rows)
def test_what_is_saved_is_read(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("popular") / "popular.json"
    fallback.save(popular_of(rows), path)
    assert fallback.load(path) == popular_of(rows)


def saved(tmp_path, rows=(("p1", "c1", 2.0), ("p2", "", 1.0))):
    path = tmp_path / "popular.json"
    fallback.save(popular_of(list(rows)), path)
    return path


def test_from_an_index_come_the_most_popular_that_can_be_sold(shop):
    index = RetrievalIndex.load(shop.index_folder)
    index.available[::3] = False
    popular = fallback.from_index(index, limit=20)
    best = sorted(np.flatnonzero(index.available), key=lambda at: (-index.popular[at], index.products[at]))[:20]
    assert popular.products == tuple(index.products[at] for at in best)
    assert popular.categories == tuple(index.categories[at] for at in best)
    assert popular.scores == tuple(float(index.popular[at]) for at in best)
    assert len(fallback.from_index(index).products) == index.available.sum()


def test_nothing_to_sell_is_an_empty_answer(shop, tmp_path):
    index = RetrievalIndex.load(shop.index_folder)
    index.available[:] = False
    popular = fallback.from_index(index)
    assert popular.answer(5).products == []
    assert popular.answer(5).scores.shape == (0,)
    fallback.save(popular, tmp_path / "none.json")
    assert fallback.load(tmp_path / "none.json") == popular


def test_every_damage_is_noticed(tmp_path):
    path = saved(tmp_path)
    content, whole = path.read_bytes(), fallback.load(path)
    for at in range(len(content)):
        for damaged in (content[:at], content[:at] + b"7" + content[at + 1 :]):
            path.write_bytes(damaged)
            try:
                read = fallback.load(path)
            except PopularError:
                continue
            assert read == whole  # only white space was damaged


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"products": [["p1", "c1", 3.0]]}, "not those it was saved with"),
        ({"products": [["p1", "c1", float("nan")]]}, "finite"),
        ({"products": [["p1", "c1", "2"]]}, "valid number"),
        ({"products": [["p1", "c1", 2.0]] * 1001}, "at most 1000"),
        ({"more": 1}, "not permitted"),
    ],
)
def test_what_was_not_saved_is_refused_with_a_reason(tmp_path, changes, problem):
    path = saved(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(PopularError, match=problem):
        fallback.load(path)


def test_a_product_twice_is_refused(tmp_path):
    with pytest.raises(ValueError, match="twice"):
        saved(tmp_path, (("p1", "c1", 2.0), ("p1", "c1", 1.0)))


def test_a_file_beyond_all_bounds_is_not_parsed(tmp_path):
    path = saved(tmp_path)
    path.write_text(" " * fallback.MAX_BYTES + path.read_text())
    with pytest.raises(PopularError, match="larger than"):
        fallback.load(path)


def test_a_file_that_is_not_there_is_told_apart(tmp_path):
    with pytest.raises(FileNotFoundError):
        fallback.load(tmp_path / "popular.json")
