from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse

from ml_assets.retrieval.sparse import best_columns, decay, largest_per_row, neighbours, unit_rows

small = arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 9)), elements=st.integers(0, 4).map(float))


@given(scores=small, keep=st.integers(0, 10))
def test_best_columns_are_what_a_full_sort_gives(scores, keep):
    scores = np.where(scores > 0, scores, -np.inf)
    found = best_columns(scores, keep)
    for row, columns in zip(scores, found, strict=True):
        expected = [column for column in np.argsort(-row, kind="stable") if np.isfinite(row[column])][:keep]
        assert [column for column in columns.tolist() if column >= 0] == expected


@given(matrix=small, keep=st.integers(1, 10))
def test_the_largest_entries_of_each_row_stay(matrix, keep):
    kept = largest_per_row(sparse.csr_matrix(matrix), keep).toarray()
    for row, left in zip(matrix, kept, strict=True):
        expected = np.sort(row)[::-1][:keep]
        np.testing.assert_array_equal(np.sort(left)[::-1][:keep], np.pad(expected, (0, keep))[: len(left)][:keep])


def test_neighbours_are_the_cosine_of_columns_shrunk():
    sessions = sparse.csr_matrix(np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1]], dtype=np.float32))
    found = neighbours(sessions, sessions, keep=5, shrink=1.0).toarray()
    np.testing.assert_allclose(
        found, [[0, 1 / (np.sqrt(2) + 1), 0], [1 / (np.sqrt(2) + 1), 0, 0], [0, 0, 0]], rtol=1e-6
    )


def test_unit_rows_have_length_one_or_stay_empty():
    rows = unit_rows(sparse.csr_matrix(np.array([[3, 4], [0, 0]], dtype=np.float32))).toarray()
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0, 0]], rtol=1e-6)


def test_decay_halves_with_each_half_life():
    np.testing.assert_allclose(decay(np.array([0.0, 7.0, 14.0]), 7), [1, 0.5, 0.25])
