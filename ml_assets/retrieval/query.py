"""From who is asking to history vectors: known customers' rows of the index, plus a running session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ml_assets.retrieval.contents import IndexContents
from ml_assets.retrieval.row import Row
from ml_assets.retrieval.sources import Query
from ml_assets.retrieval.sparse import rows_or_empty


class SessionEvent(NamedTuple):
    """Something the customer did in the running session."""

    product_id: str
    event_type: str


NOW = {"view": 1.0, "cart": 1.0, "purchase": 0.0}
"""What an event of the running session adds to `seen`: intent now outweighs the index's faded views."""


def query_customers(index: IndexContents, customer_ids: Sequence[str]) -> Query:
    """History vectors of customers, in the order asked; an unknown one has an empty history."""
    at = np.array([index.customer_positions.get(customer, -1) for customer in customer_ids], dtype=np.int64)
    if len(at) == 1:
        return Query(Row.of(index.bought, int(at[0])), Row.of(index.seen, int(at[0])), at)
    return Query(rows_or_empty(index.bought, at), rows_or_empty(index.seen, at), at)


def query_session(
    index: IndexContents,
    customer_id: str | None,
    session: Sequence[SessionEvent],
    products: Sequence[str] | None = None,
) -> tuple[Query, tuple[str, ...], NDArray[np.int64] | None]:
    """History vector of one customer with the session added, the products nobody knows, and those asked for.

    Raises:
        ValueError: when an event type is not view, cart or purchase.
    """
    known = index.product_positions
    named = [event.product_id for event in session] + list(products or ())
    unknown = tuple(dict.fromkeys(product for product in named if product not in known))
    query = query_customers(index, [customer_id or ""])
    events = [event for event in session if event.product_id in known]
    if events:
        at = np.array([known[event.product_id] for event in events], dtype=np.int64)
        query = Query(
            query.bought + _added([float(event.event_type == "purchase") for event in events], at, index),
            query.seen + _added([_now(event.event_type) for event in events], at, index),
            query.customer,
        )
    if products is None:
        return query, unknown, None
    asked = [known[product] for product in dict.fromkeys(products) if product in known]
    return query, unknown, np.array(asked, dtype=np.int64)


def _now(event_type: str) -> float:
    if event_type not in NOW:
        raise ValueError(f"session event type {event_type!r} is none of {', '.join(NOW)}")
    return NOW[event_type]


def _added(weights: list[float], products: NDArray[np.int64], index: IndexContents) -> Row:
    return Row.dense(np.bincount(products, weights, minlength=len(index.products)).astype(np.float32))
