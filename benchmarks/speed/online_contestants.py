"""Ours and the floor for `online`: materializing, then reading; each function is one fresh process."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from benchmarks.speed.online_data import AS_OF, FEATURES, NOW, Logs, shop_requests
from ml_assets.config.settings import Settings, load_settings
from ml_assets.config.store_address import store_address

PAUSE = 0.001
SHOWN = 5
"""Requests whose answers are compared between contestants."""


def p99(ask: Callable[..., Any], requests: Sequence[Sequence[Any]]) -> float:
    """99th percentile in milliseconds, after a warm-up of a tenth, with a pause after each request as on a server.

    A process that computes all the time is made to wait by the kernel whenever others wake up.
    """
    for request in requests[: len(requests) // 10]:
        ask(*request)
    taken = []
    for request in requests:
        began = time.perf_counter()
        ask(*request)
        taken.append(time.perf_counter() - began)
        time.sleep(PAUSE)
    return float(np.percentile(taken, 99) * 1e3)


def ours_materialize(home: str, logs: dict[str, Any] | None, address: str | None, times: int = 1) -> dict[str, Any]:
    """Materialize the logs, or the shop's own definitions when there are none, through `materialize`."""
    settings = load_settings({"ML_ASSETS_HOME": home, "ML_ASSETS_ONLINE_STORE": address or ""})
    from feature_repo.online import materialize
    from feature_repo.store import apply, open_store

    if logs is None:
        store = open_store(settings)
        apply(store)
    else:
        store = _log_store(settings)
        store.apply(_logs(logs).definitions())
    for _ in range(times):
        began = time.perf_counter()
        written = materialize(store, AS_OF, full=True)
    return {"seconds": time.perf_counter() - began, "rows": sum(written.values())}


def _log_store(settings: Settings) -> Any:
    """This project's stores over Parquet files."""
    from feast import FeatureStore, RepoConfig

    settings.feast_home.mkdir(parents=True, exist_ok=True)
    config = RepoConfig(
        project="logs",
        provider="local",
        registry={"registry_type": "sql", "path": settings.feast_registry},
        offline_store={"type": "feature_repo.stores.asof.AsofOfflineStore", "threads": settings.threads},
        online_store={"type": settings.online_store_type, "path": str(settings.online_store)},
        entity_key_serialization_version=3,
        repo_path=settings.feast_home,
    )
    return FeatureStore(config=config)


def ours_logs(home: str, logs: dict[str, Any], address: str | None, count: int) -> dict[str, Any]:
    """One customer's features, and 100 products'."""
    from feature_repo.reader import open_reader

    where, now = _address(home, address), NOW
    customers, products = open_reader(where, "customers"), open_reader(where, "products")
    nothing = [None] * 1000

    def one(customer: str, _: list[str]) -> Any:
        return customers.read(customer, [None], [None], now)

    def hundred(_: str, chosen: list[str]) -> Any:
        return products.read(None, chosen, nothing[: len(chosen)], now)

    return _reads(one, hundred, _logs(logs).ask(count))


def ours_logs_while_written(home: str, logs: dict[str, Any], address: str | None, count: int) -> dict[str, Any]:
    """100 products' features, while another process materializes everything again and again."""
    from feature_repo.reader import open_reader

    arguments = json.dumps({"home": home, "logs": logs, "address": address, "times": 1000})
    command = [sys.executable, "-m", "benchmarks.speed.child", f"{__name__}:ours_materialize", arguments]
    watched = Path(f"{home}/simulated/feast/online.db-wal")
    watched.unlink(missing_ok=True)
    writer = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while writer.poll() is None and not watched.exists():
            time.sleep(0.1)
        products, nothing = open_reader(_address(home, address), "products"), [None] * 1000
        requests = [chosen for _, chosen in _logs(logs).ask(count)]
        taken = p99(lambda *chosen: products.read(None, chosen, nothing[: len(chosen)], NOW), requests)
        if writer.poll() is not None:
            raise RuntimeError("nothing was written meanwhile")
    finally:
        writer.kill()
        writer.wait()
    return {"seconds": taken / 1e3, "busy": taken}


def ours_shop(home: str, address: str | None, count: int) -> dict[str, Any]:
    """All features of one served request."""
    from feature_repo.reader import open_reader

    reader, requests = open_reader(_address(home, address)), shop_requests(_settings(home), count)
    answers = [reader.read(*each, NOW).tolist() for each in requests[:SHOWN]]
    taken = p99(lambda *request: reader.read(*request, NOW), requests)
    return {"seconds": taken / 1e3, "request": taken, "answers": answers}


def floor_materialize(logs: dict[str, Any], path: str) -> dict[str, Any]:
    """The latest row of each key from DuckDB into sqlite, nothing checked, nothing kept, no reader thought of."""
    Path(path).unlink(missing_ok=True)
    rows, data = 0, _logs(logs)
    began = time.perf_counter()
    with duckdb.connect(config={"threads": 2}) as source, sqlite3.connect(path) as target:
        for view in data.sizes:
            columns = ", ".join([f"{view}_id", *FEATURES])
            target.execute(f"create table {view} ({columns}, primary key ({view}_id)) without rowid")
            table = source.sql(
                f"select {view}_id, {', '.join(f'arg_max(s, event_timestamp).{name}' for name in FEATURES)} "
                f"from read_parquet('{data.path(view)}') as s group by 1 order by 1"
            ).to_arrow_table()
            marks = ", ".join("?" * table.num_columns)
            values = zip(*(column.to_pylist() for column in table.columns), strict=True)
            target.executemany(f"insert into {view} values ({marks})", values)
            rows += table.num_rows
        target.commit()
    return {"seconds": time.perf_counter() - began, "rows": rows}


def floor_logs(logs: dict[str, Any], path: str, count: int) -> dict[str, Any]:
    """One prepared statement on a wide table."""
    requests = _logs(logs).ask(count)
    connection = sqlite3.connect(path)
    columns, marks = ", ".join(FEATURES), ", ".join("?" * len(requests[0][1]))
    one_sql = f"select {columns} from customer where customer_id = ?"
    hundred_sql = f"select product_id, {columns} from product where product_id in ({marks})"

    def one(customer: str, _: list[str]) -> Any:
        return np.array([connection.execute(one_sql, (customer,)).fetchone()], dtype=np.float64)

    def hundred(_: str, chosen: list[str]) -> Any:
        found = {row[0]: row[1:] for row in connection.execute(hundred_sql, chosen).fetchall()}
        return np.array([found[each] for each in chosen], dtype=np.float64)

    return _reads(one, hundred, requests)


def floor_shop(home: str, count: int) -> dict[str, Any]:
    """One prepared statement per view on wide tables of the columns that are read; no features derived."""
    from feature_repo.stores.description import description_path, read_description

    settings = _settings(home)
    requests = shop_requests(settings, count)
    service = read_description(description_path(Path(settings.online_store)), "product_recommender")
    connection, statements = sqlite3.connect(":memory:"), []
    with duckdb.connect(str(settings.warehouse), read_only=True) as source:
        for view in service.views:
            keys, columns = view.table.keys, [name for name in view.columns if name != "valued_at"]
            names = ", ".join([*keys, *columns])
            connection.execute(f"create table {view.view} ({names}, primary key ({', '.join(keys)})) without rowid")
            seconds = [f"epoch({each})" if each.endswith("_at") else each for each in columns]
            latest = source.execute(
                f"select distinct on ({', '.join(keys)}) {', '.join([*keys, *seconds])} from feat_{view.view} "
                f"order by {', '.join(keys)}, event_timestamp desc"
            ).fetchall()
            marks = ", ".join("?" * (len(keys) + len(columns)))
            connection.executemany(f"insert into {view.view} values ({marks})", latest)
            statements.append((f"select {names} from {view.view} where ", keys))

    def request(customer: str, products: list[str], categories: list[str]) -> Any:
        asked = {"customer_id": [customer], "product_id": products, "category_id": list(dict.fromkeys(categories))}
        for sql, keys in statements:
            where = " and ".join(f"{key} in ({', '.join('?' * len(asked[key]))})" for key in keys)
            connection.execute(sql + where, [value for key in keys for value in asked[key]]).fetchall()

    taken = p99(request, requests)
    return {"seconds": taken / 1e3, "request": taken}


def _reads(one: Callable[..., Any], hundred: Callable[..., Any], requests: Sequence[Sequence[Any]]) -> dict[str, Any]:
    answers = [[one(*each).tolist(), hundred(*each).tolist()] for each in requests[:SHOWN]]
    figures = {"one": p99(one, requests), "hundred": p99(hundred, requests)}
    return {"seconds": sum(figures.values()) / 1e3, **figures, "answers": answers}


def _logs(logs: dict[str, Any]) -> Logs:
    return Logs(Path(logs["folder"]), logs["customers"], logs["products"])


def _settings(home: str) -> Settings:
    return Settings(home=Path(home), shop="simulated")


def _address(home: str, address: str | None) -> Path | str:
    return store_address(address) if address else _settings(home).online_store
