"""Which join keys of a row nothing is known of."""

from __future__ import annotations

import numpy as np

from feature_repo.known import columns_by_key, known_by_key, unknown_keys

NAMES = ("hotels__a", "pairs__a", "hotels__b", "rooms__a", "derived__a")
VIEWS = {"hotels": ("hotel",), "rooms": ("hotel",), "pairs": ("hotel", "guest"), "other": ("planet",)}


def test_views_of_the_same_keys_are_one_and_derived_features_have_no_key() -> None:
    assert columns_by_key(NAMES, VIEWS) == {"hotel": [0, 2, 3], "hotel and guest": [1]}


def test_a_key_is_known_by_any_of_its_features() -> None:
    by_key = columns_by_key(NAMES, VIEWS)
    there = np.array([[0, 0, 0, 1, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 1]], dtype=bool)
    found = [unknown_keys(row, by_key) for row in known_by_key(there, by_key)]
    assert found == [["hotel and guest"], [], ["hotel", "hotel and guest"]]


def test_without_features_of_keys_none_is_unknown() -> None:
    [row] = known_by_key(np.zeros((1, 2), dtype=bool), {})
    assert unknown_keys(row, {}) == []
