"""A tiny lake of random events, with everything that makes days awkward."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FIRST_DAY = dt.date(2025, 1, 6)
DAYS = 105
LAST_DAY = FIRST_DAY + dt.timedelta(days=DAYS - 1)
EMPTY_DAYS = {5, 34, 35, 90, DAYS - 1}

EVENTS = pa.schema(
    [
        ("event_id", pa.string()),
        ("event_ts", pa.timestamp("us")),
        ("customer_id", pa.string()),
        ("product_id", pa.string()),
        ("event_type", pa.string()),
        ("session_id", pa.string()),
        ("quantity", pa.int32()),
        ("price", pa.float64()),
        ("country", pa.string()),
    ]
)
PRODUCTS = pa.schema(
    [
        ("product_id", pa.string()),
        ("product_name", pa.string()),
        ("category_id", pa.string()),
        ("price", pa.float64()),
        ("available", pa.bool_()),
        ("changed_at", pa.timestamp("us")),
    ]
)


def day(number: int) -> dt.date:
    """The lake's day of that number, counted from 0."""
    return FIRST_DAY + dt.timedelta(days=number)


def write_part(lake: Path, table: str, on: dt.date, rows: list[dict], schema: pa.Schema) -> None:
    folder = lake / table / f"event_day={on.isoformat()}"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / "part.parquet")


def write_day(lake: Path, on: dt.date, events: list[dict], products: list[dict]) -> None:
    write_part(lake, "events", on, events, EVENTS)
    write_part(lake, "products", on, products, PRODUCTS)


def random_events(rng: np.random.Generator, number: int) -> list[dict]:
    """Events of one day: few customers and products, late events, lost sessions, sessions of two days."""
    if number in EMPTY_DAYS:
        return []
    midnight = dt.datetime.combine(day(number), dt.time())
    rows = []
    for position in range(int(rng.integers(4, 16))):
        customer = int(rng.integers(0, 14))
        kind = str(rng.choice(["view", "cart", "purchase"], p=[0.5, 0.2, 0.3]))
        session = f"s{customer}-{number // 2}-{int(rng.integers(0, 2))}"
        late = dt.timedelta(days=int(rng.choice([0, 0, 0, 1, 2])))
        rows.append(
            {
                "event_id": f"e{number}-{position}",
                "event_ts": midnight - late + dt.timedelta(seconds=int(rng.integers(0, 86_400))),
                "customer_id": f"c{customer:02d}",
                "product_id": f"p{int(rng.integers(0, 10)):02d}",
                "event_type": kind,
                "session_id": session if rng.random() < 0.8 else None,
                "quantity": int(rng.integers(1, 5)) if kind == "purchase" else 1,
                "price": round(float(rng.uniform(0.5, 40.0)), 3),
                "country": str(rng.choice(["GB", "DE"])) if rng.random() < 0.7 else None,
            }
        )
    return rows


def random_products(rng: np.random.Generator, number: int) -> list[dict]:
    """Catalogue news of one day; p09 never has any, p08 comes late, some news is older than what is known."""
    listed = list(range(8)) if number == 0 else [int(p) for p in rng.integers(0, 9, int(rng.integers(0, 2)))]
    midnight = dt.datetime.combine(day(number), dt.time())
    return [
        {
            "product_id": f"p{product:02d}",
            "product_name": f"Product {product}",
            "category_id": f"k{(product + number // 60) % 3}",
            "price": round(float(rng.uniform(1, 40)), 2),
            "available": bool(rng.random() < 0.9),
            "changed_at": midnight + dt.timedelta(hours=position) - int(rng.choice([0, 0, 9])) * dt.timedelta(days=1),
        }
        for position, product in enumerate(listed)
    ]


def write_random_lake(lake: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for number in range(DAYS):
        write_day(lake, day(number), random_events(rng, number), random_products(rng, number))
