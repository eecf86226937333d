"""A small real index and a small real online store, made without Feast (importing it takes seconds)."""

from collections.abc import Callable
from contextlib import closing
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from feature_repo.stores import wide_table
from feature_repo.stores.description import ServiceDescription, ViewColumns, description_path, to_text
from feature_repo.stores.packed import WideTable
from feature_repo.transforms import INPUTS, OUTPUTS
from ml_assets.config.retrieval_config import RetrievalSpec
from ml_assets.config.settings import Settings
from ml_assets.retrieval.index import build_index

CUSTOMERS, PRODUCTS, CATEGORIES = 40, 150, 6
SERVICE = "product_recommender"
KEYS = {
    "customer": ("customer_id",),
    "product": ("product_id",),
    "category": ("category_id",),
    "customer_product": ("customer_id", "product_id"),
    "customer_category": ("customer_id", "category_id"),
}


def category_of(product: int) -> str:
    return f"c{product % CATEGORIES}"


def build_parts(folder: Path, settings: Settings, as_of: datetime) -> tuple[Path, tuple[str, ...]]:
    """Write an index and an online store; returns the index's folder and the features a model can have."""
    rng = np.random.default_rng(7)
    drawn = zip(rng.integers(CUSTOMERS, size=900), rng.zipf(1.3, 900) % PRODUCTS, strict=True)
    pairs = {(int(customer), int(product)) for customer, product in drawn}
    index = build_index(_interactions(sorted(pairs), as_of.date()), _catalogue(as_of.date()), as_of, RetrievalSpec())
    (folder / "index").mkdir()
    index.save(folder / "index")
    features = (
        *(name for name in INPUTS if not name.endswith("_at")),
        *(f"derived__{name}" for name in OUTPUTS),
    )
    _online(settings.online_store, sorted(pairs), as_of, features)
    return folder / "index", (*(f"retrieval__{name}" for name in index.source_names), *features)


def _interactions(pairs: list[tuple[int, int]], day: date) -> pa.Table:
    count = len(pairs)
    return pa.table(
        {
            "customer_id": [f"u{customer}" for customer, _ in pairs],
            "product_id": [f"p{product:03d}" for _, product in pairs],
            "event_day": [day - timedelta(days=1 + number % 50) for number in range(count)],
            "views": [1] * count,
            "carts": [number % 2 for number in range(count)],
            "orders": [number % 3 // 2 for number in range(count)],
            "quantity": [1] * count,
            "session_id": [f"s{customer}-{product % 5}" for customer, product in pairs],
        }
    )


def _catalogue(day: date) -> pa.Table:
    return pa.table(
        {
            "product_id": [f"p{product:03d}" for product in range(PRODUCTS)],
            "event_day": [day - timedelta(days=60 - product % 58) for product in range(PRODUCTS)],
            "category_id": [category_of(product) for product in range(PRODUCTS)],
            "available": [True] * PRODUCTS,
        }
    )


def _online(path: Path, pairs: list[tuple[int, int]], as_of: datetime, features: tuple[str, ...]) -> None:
    keys = {
        "customer": [(f"u{customer}",) for customer in range(CUSTOMERS)],
        "product": [(f"p{product:03d}",) for product in range(PRODUCTS)],
        "category": [(f"c{category}",) for category in range(CATEGORIES)],
        "customer_product": [(f"u{customer}", f"p{product:03d}") for customer, product in pairs],
        "customer_category": sorted({(f"u{customer}", category_of(product)) for customer, product in pairs}),
    }
    connection, views = wide_table.open_writer(path), []
    for view, rows in keys.items():
        names = [name.partition("__")[2] for name in INPUTS if name.startswith(f"{view}__")]
        kinds = tuple((name, "timestamp" if name.endswith("_at") else "float") for name in names)
        table = WideTable(f"wide_{view}", KEYS[view], kinds)
        with wide_table.transaction(connection):
            wide_table.create(connection, table)
            wide_table.write_table(connection, table, _rows(table, rows, as_of), "event_timestamp")
        views.append(ViewColumns(view, table, tuple(names)))
    connection.close()
    described = ServiceDescription(SERVICE, features, tuple(views))
    description_path(path).write_text(to_text([described]))


def _rows(table: WideTable, keys: list[tuple[str, ...]], as_of: datetime) -> pa.Table:
    rng = np.random.default_rng(len(keys))
    columns = {key: [row[position] for row in keys] for position, key in enumerate(table.keys)}
    for name, kind in table.features:
        days = rng.integers(1, 60, size=len(keys))
        values = [as_of - timedelta(days=int(day)) for day in days] if kind == "timestamp" else days * 0.37
        columns[name] = values
    return pa.table(columns | {"event_timestamp": [as_of] * len(keys)})


def change_rows(path: Path, view: str, change: Callable[[WideTable, bytes], object]) -> None:
    """Replace every row of a view by what `change` makes of it."""
    with closing(wide_table.open_writer(path)) as writer:
        table = wide_table.defined(writer, f"wide_{view}")
        assert table is not None
        writer.create_function("changed", 1, lambda row: change(table, row))
        column = wide_table.row_column(table)
        writer.execute(f"update {table.table} set {column} = changed({column})")
