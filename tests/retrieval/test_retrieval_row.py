from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse

from ml_assets.retrieval.row import Row
from ml_assets.retrieval.sparse import unit_rows

WIDTH, COLUMNS = 40, 30
weights = st.one_of(st.just(0.0), st.floats(2.0**-100, 8.0, width=32))
vectors = arrays(np.float32, (1, WIDTH), elements=weights)
matrices = arrays(np.float32, (WIDTH, COLUMNS), elements=weights)


def both(values: np.ndarray) -> tuple[Row, sparse.csr_matrix]:
    whole = sparse.csr_matrix(np.vstack([np.ones_like(values), values]))
    return Row.of(whole, 1), sparse.csr_matrix(values)


@given(values=vectors, matrix=matrices)
def test_a_product_is_scipys_to_the_bit(values, matrix):
    row, csr = both(values)
    assert np.array_equal(row.times(sparse.csr_matrix(matrix)), (csr @ sparse.csr_matrix(matrix)).toarray())


@given(left=vectors, right=vectors)
def test_a_sum_is_scipys_to_the_bit(left, right):
    (one, csr), (other, more) = both(left), both(right)
    total, expected = one + other, csr + more
    assert np.array_equal(total.indices, expected.indices)
    assert np.array_equal(total.data, expected.data)
    assert np.array_equal(total.toarray(), expected.toarray())


@given(values=vectors)
def test_a_unit_vector_is_scipys_to_the_bit(values):
    row, csr = both(values)
    assert np.array_equal(unit_rows(row).data, unit_rows(csr).data)


def test_nobody_has_an_empty_row():
    nobody = Row.of(sparse.csr_matrix(np.ones((2, WIDTH), dtype=np.float32)), -1)
    assert np.array_equal(nobody.toarray(), np.zeros((1, WIDTH)))
    assert np.array_equal(nobody.times(sparse.csr_matrix((WIDTH, COLUMNS), dtype=np.float32)), np.zeros((1, COLUMNS)))
    assert len(unit_rows(nobody).data) == 0
