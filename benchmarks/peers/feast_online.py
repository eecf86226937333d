"""Feast as it comes: its `materialize` into its own sqlite (or Redis) store, read by `get_online_features`."""

from __future__ import annotations

import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.feast_sqlite import open_plain
from benchmarks.speed.online_contestants import SHOWN, p99
from benchmarks.speed.online_data import AS_OF, FEATURES, NOW, Logs, shop_requests
from ml_assets.config.settings import Settings

BEGINNING = datetime(2024, 1, 1, tzinfo=UTC)


def logs(folder: str, logs: dict[str, Any], address: str | None, count: int) -> dict[str, Any]:
    """Materialize the two logs, then read one customer's features and 100 products'."""
    from feast import FeatureStore, RepoConfig

    home = _empty(folder)
    online = {"type": "sqlite", "path": str(home / "online.db")}
    if address:
        online = {"type": "redis", "connection_string": _redis(address)}
    config = RepoConfig(
        project="plain",
        provider="local",
        registry={"registry_type": "sql", "path": f"sqlite:///{home / 'registry.db'}"},
        online_store=online,
        entity_key_serialization_version=3,
        repo_path=home,
    )
    store, data = FeatureStore(config=config), Logs(Path(logs["folder"]), logs["customers"], logs["products"])
    store.apply(data.definitions())
    seconds = _materialize(store)
    services = {name: store.get_feature_service(name) for name in ("customers", "products")}

    def one(customer: str, _: list[str]) -> Any:
        found = store.get_online_features(services["customers"], [{"customer_id": customer}], full_feature_names=True)
        return _matrix(found.to_dict(), [f"customer__{name}" for name in FEATURES])

    def hundred(_: str, products: list[str]) -> Any:
        rows = [{"product_id": product} for product in products]
        found = store.get_online_features(services["products"], rows, full_feature_names=True)
        return _matrix(found.to_dict(), [f"product__{name}" for name in FEATURES])

    requests = data.ask(count)
    answers = [[one(*each).tolist(), hundred(*each).tolist()] for each in requests[:SHOWN]]
    return {"seconds": seconds, "one": p99(one, requests), "hundred": p99(hundred, requests), "answers": answers}


def shop(folder: str, home: str, count: int) -> dict[str, Any]:
    """Materialize the shop's views, then read all features of one served request."""
    settings = Settings(home=Path(home), shop="simulated")
    store = open_plain(settings, _empty(folder))
    from benchmarks.peers.on_demand import definitions
    from feature_repo.store import SERVICE_FEATURES

    store.apply(definitions())
    seconds = _materialize(store)
    service, names = store.get_feature_service("product_recommender"), SERVICE_FEATURES["product_recommender"]

    def request(customer: str, products: list[str], categories: list[str]) -> Any:
        rows = {
            "customer_id": [customer] * len(products),
            "product_id": products,
            "category_id": categories,
            "now": [NOW] * len(products),
        }
        return _matrix(store.get_online_features(service, rows, full_feature_names=True).to_dict(), names)

    requests = shop_requests(settings, count)
    answers = [request(*each).tolist() for each in requests[:SHOWN]]
    return {"seconds": seconds, "request": p99(request, requests), "answers": answers}


def _materialize(store: Any) -> float:
    began = time.perf_counter()
    store.materialize(BEGINNING, AS_OF.replace(tzinfo=UTC))
    return time.perf_counter() - began


def _matrix(found: dict[str, Any], names: list[str]) -> Any:
    return np.array([found[name] for name in names], dtype=np.float64).T


def _empty(folder: str) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    Path(folder).mkdir(parents=True)
    return Path(folder)


def _redis(address: str) -> str:
    """Feast's way to write `redis://host:port/db`."""
    place, _, number = address.removeprefix("redis://").partition("/")
    return f"{place},db={number}"
