"""A tiny shop with habits: its lake, its warehouse built by dbt, its feature store."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml_assets.config.settings import PROJECT, Settings

FIRST_DAY = dt.date(2011, 8, 15)
DAYS = 14 * 7

EVENTS = {
    "event_id": pa.string(),
    "event_ts": pa.timestamp("us"),
    "customer_id": pa.string(),
    "product_id": pa.string(),
    "event_type": pa.string(),
    "session_id": pa.string(),
    "quantity": pa.int32(),
    "price": pa.float64(),
    "country": pa.string(),
}
PRODUCTS = {
    "product_id": pa.string(),
    "product_name": pa.string(),
    "category_id": pa.string(),
    "price": pa.float64(),
    "available": pa.bool_(),
    "changed_at": pa.timestamp("us"),
}


def build_shop(settings: Settings, days: int = DAYS) -> None:
    """Write the lake's first `days` days and build the warehouse and the feature registry."""
    write_lake(settings.lake, days)
    build_warehouse(settings, days)


def write_lake(lake: Path, days: int, customers: int = 24, products: int = 20) -> None:
    rng = np.random.default_rng(11)
    habit = rng.dirichlet(np.full(products, 0.2), size=customers)
    for number in range(DAYS):
        rows = [row for customer in range(customers) for row in _visit(rng, customer, number, habit[customer])]
        if number < days:
            on = FIRST_DAY + dt.timedelta(days=number)
            _part(lake, "events", on, rows, EVENTS)
            _part(lake, "products", on, [_product(at) for at in range(products) if number == 0], PRODUCTS)


def _visit(rng: np.random.Generator, customer: int, number: int, habit: np.ndarray) -> list[dict]:
    if rng.random() > 0.35:
        return []
    midnight = dt.datetime.combine(FIRST_DAY + dt.timedelta(days=number), dt.time())
    rows = []
    for at, product in enumerate(rng.choice(len(habit), size=3, p=habit)):
        kind = ("view", "cart", "purchase")[int(rng.integers(0, 3))]
        rows.append(
            {
                "event_id": f"e{number}-{customer}-{at}",
                "event_ts": midnight + dt.timedelta(hours=int(rng.integers(0, 24))),
                "customer_id": f"c{customer:02}",
                "product_id": f"p{product:02}",
                "event_type": kind,
                "session_id": f"s{number}-{customer}",
                "quantity": 1,
                "price": 1.0 + product,
                "country": "GB" if customer % 3 else "DE",
            }
        )
    return rows


def _product(at: int) -> dict:
    return {
        "product_id": f"p{at:02}",
        "product_name": f"Product {at}",
        "category_id": f"k{at % 3}",
        "price": 1.0 + at,
        "available": True,
        "changed_at": dt.datetime.combine(FIRST_DAY, dt.time()),
    }


def _part(lake: Path, table: str, on: dt.date, rows: list[dict], types: dict[str, pa.DataType]) -> None:
    folder = lake / table / f"event_day={on.isoformat()}"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(list(types.items()))), folder / "part.parquet")


def build_warehouse(settings: Settings, days: int) -> None:
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    last = FIRST_DAY + dt.timedelta(days=days - 1)
    folder = PROJECT / "dbt_project"
    before = dict(os.environ)
    settings.export()
    try:
        outcome = dbtRunner().invoke(
            [
                *("run", "--quiet", "--project-dir", str(folder), "--profiles-dir", str(folder)),
                *("--target-path", str(settings.home / "target"), "--log-path", str(settings.home / "logs")),
                *("--vars", f"{{start_date: '{FIRST_DAY}', end_date: '{last}'}}"),
            ]
        )
    finally:
        os.environ.clear()
        os.environ.update(before)
    DuckDBConnectionManager.close_all_connections()
    if not outcome.success:
        pytest.fail(f"dbt: {outcome.exception or [r.message for r in outcome.result.results]}")
