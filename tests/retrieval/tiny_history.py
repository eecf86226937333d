"""A small shop in the shape that `retrieval.history` reads: random, but the same every time."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import numpy as np
import pyarrow as pa

START = date(2026, 1, 1)
AS_OF = datetime(2026, 3, 1)


def make_interactions(
    rows: int = 900, customers: int = 30, products: int = 40, seed: int = 1, days: int = 59
) -> pa.Table:
    draw = np.random.default_rng(seed)
    customer, product = (
        draw.integers(customers, size=rows),
        (draw.beta(1, 3, size=rows) * products).astype(int),
    )
    day, kind = np.sort(draw.integers(days, size=rows)), draw.integers(3, size=rows)
    table = pa.table(
        {
            "customer_id": [f"c{one:03}" for one in customer],
            "product_id": [f"p{one:03}" for one in product],
            "event_day": [START + timedelta(days=int(one)) for one in day],
            "views": (kind == 0).astype(np.int32),
            "carts": (kind == 1).astype(np.int32),
            "orders": (kind == 2).astype(np.int32),
            "quantity": (kind == 2).astype(np.int64),
            "session_id": [f"{who}-{when}" for who, when in zip(customer, day, strict=True)],
        }
    )
    keys = ["session_id", "customer_id", "product_id", "event_day"]
    summed = table.group_by(keys, use_threads=False).aggregate(
        [("views", "sum"), ("carts", "sum"), ("orders", "max"), ("quantity", "sum")]
    )
    return summed.rename_columns([*keys, "views", "carts", "orders", "quantity"])


def make_catalogue(products: int = 40) -> pa.Table:
    """Listed on the first day; p001 is retired on 20 February, p038 and p039 are launched on the 25th."""
    rows = [(f"p{one:03}", START, f"k{one % 4}", True) for one in range(products - 2)]
    rows += [(f"p{one:03}", date(2026, 2, 25), "k9", True) for one in range(products - 2, products)]
    rows.append(("p001", date(2026, 2, 20), "k1", False))
    return pa.table(
        dict(zip(("product_id", "event_day", "category_id", "available"), zip(*rows, strict=True), strict=True))
    )
