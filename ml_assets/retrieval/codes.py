"""From names to positions: interactions as integer arrays over sorted customers and products."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Coded:
    """Interactions by position: `customer`, `product`, `session` [n] int64, `age` [n] days >= 1.

    `views`, `carts`, `orders` [n] are counts; customers and products are sorted names.
    """

    customers: list[str]
    products: list[str]
    customer: Ints
    product: Ints
    session: Ints
    age: Floats
    views: Floats
    carts: Floats
    orders: Floats

    @property
    def sessions(self) -> int:
        """Number of sessions."""
        return int(self.session.max(initial=-1)) + 1

    @property
    def shape(self) -> tuple[int, int]:
        """Customers, products."""
        return len(self.customers), len(self.products)


def before(table: pa.Table, day: date, history_days: int | None = None) -> pa.Table:
    """The rows of a table with an `event_day` in the `history_days` before `day` (all of them without it).

    Of a table in day order nothing is copied.
    """
    days = table["event_day"].cast(pa.date32())
    keep = pc.less(days, pa.scalar(day))
    if history_days is not None:
        keep = pc.and_(keep, pc.greater_equal(days, pa.scalar(_minus(day, history_days))))
    kept = np.flatnonzero(keep)
    if len(kept) and kept[-1] - kept[0] + 1 == len(kept):
        return table.slice(kept[0], len(kept))
    return table.filter(keep)


def code(interactions: pa.Table, day: date, products: list[str] | None = None) -> Coded:
    """Code interactions, all from before `day`; without `products` the ones that occur, sorted."""
    products = sorted_names(interactions["product_id"]) if products is None else products
    customers = sorted_names(interactions["customer_id"])
    today = (day - date(1970, 1, 1)).days
    arrived = interactions["event_day"].cast(pa.date32()).cast(pa.int32()).to_numpy()
    return Coded(
        customers=customers,
        products=products,
        customer=positions(interactions["customer_id"], customers),
        product=positions(interactions["product_id"], products),
        session=_numbered(interactions["session_id"]),
        age=(today - arrived).astype(np.float64),
        views=_floats(interactions["views"]),
        carts=_floats(interactions["carts"]),
        orders=_floats(interactions["orders"]),
    )


def sorted_names(*columns: pa.ChunkedArray) -> list[str]:
    """The distinct values of string columns, sorted."""
    return sorted({name for column in columns for name in pc.unique(column).to_pylist()})


def positions(column: pa.ChunkedArray, names: list[str]) -> Ints:
    """Position of each value in `names`, -1 where it is not there."""
    found = pc.index_in(column, value_set=pa.array(names, pa.string()))
    return np.asarray(pc.fill_null(found, -1).to_numpy(), dtype=np.int64)


def _numbered(column: pa.ChunkedArray) -> Ints:
    """A number for each distinct value, in order of appearance."""
    encoded = column.combine_chunks().dictionary_encode()
    return np.asarray(encoded.indices.to_numpy(zero_copy_only=False), dtype=np.int64)


def _floats(column: pa.ChunkedArray) -> Floats:
    return np.asarray(pc.fill_null(column, 0).to_numpy(), dtype=np.float64)


def _minus(day: date, days: int) -> date:
    return date.fromordinal(max(day.toordinal() - days, 1))
