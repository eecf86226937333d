"""Either online store, small: its configuration, its rows, what a service reads of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
from feast import RepoConfig

from feature_repo.stores.description import ServiceDescription, ViewColumns, to_text
from feature_repo.stores.packed import WideTable
from feature_repo.stores.packing import pack_table
from feature_repo.stores.wide import Progress, WideOnlineStore
from feature_repo.stores.wide_redis import WideRedisOnlineStore
from feature_repo.stores.wide_sqlite import WideSqliteOnlineStore

START = datetime(2024, 1, 1)
PRODUCTS = WideTable("p__product", ("product_id",), (("version", "int"), ("price", "float"), ("name", "string")))
PAIRS = WideTable("p__pair", ("customer_id", "product_id"), (("seen", "timestamp"), ("liked", "bool")))
SERVICE = ServiceDescription(
    "service",
    ("pair__liked", "product__price", "product__version"),
    (ViewColumns("pair", PAIRS, ("liked",)), ViewColumns("product", PRODUCTS, ("price", "version"))),
)


@dataclass(frozen=True)
class Small:
    """An online store and its configuration."""

    store: WideOnlineStore
    config: RepoConfig

    @property
    def address(self) -> Path | str:
        return self.store.address(self.config)

    def describe(self, service: ServiceDescription = SERVICE) -> None:
        self.store.describe(self.config, to_text([service]))

    def ready(self) -> Small:
        """Make the service's views, empty, and describe it."""
        self.write("rebuild", PAIRS, pairs({}))
        self.write("rebuild", PRODUCTS, versions(0, 0))
        self.describe()
        return self

    def write(self, how: str, table: WideTable, rows: pa.Table) -> None:
        """`push`, `advance` or `rebuild` with rows that have their event timestamp in column `at`."""
        parts = pack_table(table, rows, "at")
        if how == "push":
            self.store.push(self.config, table, parts)
            return
        with self.store.exclusive(self.config):
            getattr(self.store, how)(self.config, table, parts, lambda: Progress(1, 0, "", b""))


def small_store(kind: str, folder: Path, address: str) -> Small:
    """An empty store of the kind `sqlite` (a file in `folder`) or `redis` (at `address`)."""
    store = WideSqliteOnlineStore() if kind == "sqlite" else WideRedisOnlineStore()
    config = RepoConfig(
        project="p",
        provider="local",
        registry={"registry_type": "sql", "path": f"sqlite:///{folder}/registry.db"},
        online_store={
            "type": f"{type(store).__module__}.{type(store).__name__}",
            "path": str(folder / "online.db") if kind == "sqlite" else address,
        },
        entity_key_serialization_version=3,
        repo_path=folder,
    )
    return Small(store, config)


def minutes(count: int) -> datetime:
    return START + timedelta(minutes=count)


def versions(version: int, products: int, *, at: int | None = None) -> pa.Table:
    """One row per product, all of one version."""
    ids = [f"p{number}" for number in range(products)]
    return pa.table(
        {
            "product_id": ids,
            "version": [version] * products,
            "price": [version / 2] * products,
            "name": [f"{each} in version {version}" for each in ids],
            "at": [minutes(version if at is None else at)] * products,
        }
    )


def pairs(liked: dict[tuple[str, str], bool | None]) -> pa.Table:
    """One row per (customer, product)."""
    return pa.table(
        {
            "customer_id": pa.array([customer for customer, _ in liked], pa.string()),
            "product_id": pa.array([product for _, product in liked], pa.string()),
            "seen": pa.array([minutes(0) for _ in liked], pa.timestamp("us")),
            "liked": pa.array(list(liked.values()), pa.bool_()),
            "at": pa.array([minutes(0) for _ in liked], pa.timestamp("us")),
        }
    )
