"""The few sparse-matrix steps that retrieval is made of: sums, decay, neighbours, best per row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_assets.retrieval.row import Row

Csr = Any
"""A `scipy.sparse.csr_matrix` of float32 (scipy ships no types)."""
Floats = NDArray[np.float32]
Rows = Any
"""A `Csr`, or a `Row` for one customer."""


def decay(age_days: NDArray[np.float64], half_life_days: float) -> NDArray[np.float64]:
    """Weight of evidence of an age: one half after each half-life."""
    return np.exp2(-age_days / half_life_days)


def summed(
    weight: NDArray[np.floating],
    row: NDArray[np.integer],
    column: NDArray[np.integer],
    shape: tuple[int, int],
) -> Csr:
    """Sparse matrix of the weights summed by (row, column), sorted, without explicit zeros."""
    from scipy import sparse

    keep = weight > 0
    matrix = sparse.coo_matrix((weight[keep], (row[keep], column[keep])), shape=shape).tocsr()
    matrix.sort_indices()
    return matrix.astype(np.float32)


def neighbours(before: Csr, after: Csr, keep: int, shrink: float = 1.0) -> Csr:
    """Cosine of the columns of two [sessions, products] matrices: what goes with what, from before to after.

    Entry (i, j) = sum over sessions of before_i * after_j, over (|before_i| * |after_j| + shrink): rare pairs
    are shrunk towards zero. The diagonal is left out, and each row keeps its `keep` largest entries.
    """
    from scipy import sparse

    together = (before.T @ after).tocsr()
    together.setdiag(0)
    row = np.repeat(np.arange(together.shape[0]), np.diff(together.indptr))
    norms = _column_norms(before)[row] * _column_norms(after)[together.indices]
    together.data = (together.data / (norms + np.float32(shrink))).astype(np.float32)
    together.sort_indices()
    kept = largest_per_row(together, keep)
    pruned = sparse.csr_matrix((kept.data, kept.indices, kept.indptr), shape=together.shape)
    pruned.eliminate_zeros()
    return pruned


def largest_per_row(matrix: Csr, keep: int) -> Csr:
    """The matrix with only its `keep` largest entries of each row (ties to the lower column)."""
    from scipy import sparse

    sizes = np.diff(matrix.indptr)
    marked = np.ones(matrix.nnz, dtype=bool)
    for row in np.flatnonzero(sizes > keep):
        inside = slice(matrix.indptr[row], matrix.indptr[row + 1])
        order = np.argsort(-matrix.data[inside], kind="stable")
        marked[matrix.indptr[row] + order[keep:]] = False
    indptr = np.concatenate([[0], np.cumsum(np.minimum(sizes, keep))])
    return sparse.csr_matrix((matrix.data[marked], matrix.indices[marked], indptr), shape=matrix.shape)


def rows_or_empty(matrix: Csr, at: NDArray[np.int64]) -> Csr:
    """Rows of a sparse matrix by position, empty where the position is -1."""
    from scipy import sparse

    if (at >= 0).all():
        return matrix[at]
    empty = sparse.csr_matrix((1, matrix.shape[1]), dtype=np.float32)
    return sparse.vstack([matrix, empty], format="csr")[np.where(at >= 0, at, matrix.shape[0])]


def times(rows: Rows, matrix: Csr) -> Floats:
    """The product as a dense array."""
    if isinstance(rows, Row):
        return rows.times(matrix)
    return np.asarray((rows @ matrix).toarray(), dtype=np.float32)


def filled(values: Floats) -> Rows:
    """The entries of dense rows that are not zero."""
    from scipy import sparse

    return Row.dense(values[0]) if len(values) == 1 else sparse.csr_matrix(values)


def mapped(rows: Rows, function: Callable[[Floats, NDArray[np.integer]], Floats]) -> Rows:
    """`function(data, columns)` of the entries in their places."""
    if isinstance(rows, Row):
        return Row(rows.indices, function(rows.data, rows.indices), rows.width)
    rows = rows.copy()
    rows.data = function(rows.data, rows.indices)
    return rows


def unit_rows(matrix: Rows) -> Rows:
    """Each row divided by its Euclidean length; an empty row stays empty."""
    if isinstance(matrix, Row):
        return matrix.unit()
    matrix = matrix.copy()
    length = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1), dtype=np.float32).ravel())
    length[length == 0] = 1.0  # so old that its square is no number
    matrix.data = matrix.data / np.repeat(length, np.diff(matrix.indptr))
    return matrix


def best_columns(scores: NDArray[np.floating], keep: int) -> NDArray[np.int64]:
    """The `keep` best columns of each row, best first, ties to the lower column.

    Args:
        scores: [rows, columns]; -inf is never kept.
        keep: columns per row.

    Returns:
        int64[rows, min(keep, columns)], -1 where a row has fewer.
    """
    k = min(keep, scores.shape[1])
    if k == 0:
        return np.empty((len(scores), 0), dtype=np.int64)
    if k < scores.shape[1]:
        floor = -np.partition(-scores, k - 1, axis=1)[:, k - 1 : k]
        above = scores > floor
        tied = scores == floor
        room = k - above.sum(axis=1, keepdims=True)
        chosen = above | (tied & (np.cumsum(tied, axis=1) <= room))
        columns = np.nonzero(chosen)[1].reshape(len(scores), k)
    else:
        columns = np.broadcast_to(np.arange(k), scores.shape)
    values = np.take_along_axis(scores, columns, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    columns = np.take_along_axis(columns, order, axis=1)
    values = np.take_along_axis(values, order, axis=1)
    return np.where(np.isneginf(values), -1, columns)


def _column_norms(matrix: Csr) -> Floats:
    return np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=0), dtype=np.float32).ravel())
