"""What the retrieval index knows, as of one moment: names, sparse matrices and popularity."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ml_assets.config.retrieval_config import RetrievalSpec
from ml_assets.retrieval.sparse import Csr, Floats


@dataclass(frozen=True)
class IndexContents:
    """Histories, neighbours and popularity as of a moment; nothing on or after `as_of` is in it.

    P products, C customers, N neighbours (customers who bought lately). Positions in `products`, `customers`
    are the rows and columns everywhere.

    Attributes:
        products: sorted ids of every product known, retired ones too.
        categories: category id of each product ("" where unknown).
        customers: sorted ids of every customer with an interaction.
        as_of: midnight; everything here happened before it.
        spec: what it was built with.
        available: bool[P], whether it can be sold; the others are never nominated.
        bought: [C, P] purchases, decayed.
        seen: [C, P] views and carts in purchases, decayed fast.
        co_purchase: [P, P] bought together, `spec.neighbours` per row.
        co_visitation: [P, P] seen (row), then put in the cart or bought in the same session (column).
        idf: float32[P] log(1 + C / (1 + customers of the product)).
        neighbour: int64[N] position in `customers`, ascending.
        neighbour_tastes: [P, N] unit columns.
        neighbour_bought: [N, P] 1 where bought in the last `similar_days`.
        popular: float32[P] events of everybody in purchases, decayed.
        launches: float32[P] 1 + popular for launches, else 0.
    """

    products: list[str]
    categories: list[str]
    customers: list[str]
    as_of: datetime
    spec: RetrievalSpec
    available: NDArray[np.bool_]
    bought: Csr
    seen: Csr
    co_purchase: Csr
    co_visitation: Csr
    idf: Floats
    neighbour: NDArray[np.int64]
    neighbour_tastes: Csr
    neighbour_bought: Csr
    popular: Floats
    launches: Floats

    @cached_property
    def product_positions(self) -> dict[str, int]:
        """Position of each product."""
        return {product: at for at, product in enumerate(self.products)}

    @cached_property
    def customer_positions(self) -> dict[str, int]:
        """Position of each customer."""
        return {customer: at for at, customer in enumerate(self.customers)}

    @cached_property
    def filling(self) -> NDArray[np.float64]:
        """Priority that popularity gives each product [P]: rank / quota, infinite for what cannot be sold."""
        quota = self.spec.popular
        if quota == 0:
            return np.full(len(self.products), np.inf)
        order = np.lexsort((np.arange(len(self.products)), -self.popular, ~self.available))
        priority = np.empty(len(order))
        priority[order] = (np.arange(len(order)) + 1) / quota
        return np.where(self.available, priority, np.inf)
