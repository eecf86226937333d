"""What is materialized and read: two plain logs of 12 features, and the shop's own five views, of any size.

The same on every machine and in every run.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from ml_assets.config.settings import Settings
from ml_assets.storage.files import replace_file

AS_OF = datetime(2025, 1, 10)
NOW = (AS_OF - datetime(1970, 1, 1)).total_seconds()
FEATURES = tuple(f"{kind}_{number}" for kind in ("count", "share") for number in range(6))
VERSIONS = 2
"""Rows of each key in the source; the last one counts."""
CATEGORIES, CANDIDATES = 50, 100


@dataclass(frozen=True)
class Logs:
    """Two Parquet logs of about `rows` keys in all, with Feast definitions over them.

    Attributes:
        folder: where the files lie.
        customers, products: number of keys of each.
    """

    folder: Path
    customers: int
    products: int

    @property
    def sizes(self) -> dict[str, int]:
        """Number of keys by view."""
        return {"customer": self.customers, "product": self.products}

    def path(self, view: str) -> Path:
        """The log of a view."""
        return self.folder / f"{view}_{self.sizes[view]}.parquet"

    def definitions(self) -> list[Any]:
        """Feast's entities, views and a service per view: `customers` and `products`."""
        from datetime import timedelta

        from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
        from feast.types import Float64, Int64, String

        found: list[Any] = []
        for name in self.sizes:
            entity = Entity(name=name, join_keys=[f"{name}_id"], value_type=ValueType.STRING)
            source = FileSource(name=f"{name}_log", path=str(self.path(name)), timestamp_field="event_timestamp")
            fields = [Field(name=each, dtype=Int64 if each.startswith("count") else Float64) for each in FEATURES]
            schema = [Field(name=f"{name}_id", dtype=String), *fields]
            view = FeatureView(name=name, entities=[entity], ttl=timedelta(0), schema=schema, source=source)
            found += [entity, view, FeatureService(name=f"{name}s", features=[view])]
        return found

    def ask(self, count: int) -> list[tuple[str, list[str]]]:
        """So many requests: a customer and distinct products."""
        draw = random.Random(7)
        products = [f"P{number:07d}" for number in range(self.products)]
        return [
            (f"C{draw.randrange(self.customers):07d}", draw.sample(products, min(CANDIDATES, self.products)))
            for _ in range(count)
        ]


def make_logs(work: Path, rows: int) -> Logs:
    """The logs of `rows` keys, made unless they are there: nine of ten are customers, but at most 20,000 products."""
    products = min(20_000, rows // 10)
    logs = Logs(work / "online", rows - products, products)
    for view, size in logs.sizes.items():
        if not logs.path(view).exists():
            with replace_file(logs.path(view)) as aside, duckdb.connect(config={"threads": 2}) as connection:
                connection.execute(f"copy ({_log_sql(view, size)}) to '{aside}' (format parquet)")
    return logs


def _log_sql(view: str, size: int) -> str:
    values = {
        name: f"(hash(i, n, {at}) % 500)::bigint" if name.startswith("count") else f"(hash(i, n, {at}) % 997) / 7.0"
        for at, name in enumerate(FEATURES)
    }
    columns = ", ".join(
        f"case when hash(i, n, {name!r}) % 20 > 0 then {sql} end as {name}" for name, sql in values.items()
    )
    return f"""
        select '{view[0].upper()}' || lpad(i::varchar, 7, '0') as {view}_id,
            (timestamp '2025-01-01' + n * interval 1 day + (i % 86400) * interval 1 second) at time zone 'UTC'
                as event_timestamp, {columns}
        from range({size}) as keys(i), range({VERSIONS}) as versions(n) order by n, hash(i)
    """


def make_shop(work: Path, rows: int) -> Settings:
    """A home whose warehouse has the shop's five feature logs, about `rows` keys in all, made unless it is there."""
    settings = Settings(home=work / "online" / f"shop_{rows}", shop="simulated")
    if not settings.warehouse.exists():
        with replace_file(settings.warehouse) as aside, duckdb.connect(str(aside), config={"threads": 2}) as connection:
            for view in _views():
                connection.execute(f"create table feat_{view.name} as {_shop_sql(view, rows)}")
    return settings


def _views() -> Any:
    from feature_repo.views import VIEWS

    return VIEWS


def _shop_sql(view: Any, rows: int) -> str:
    from feast.types import Bool, Int64, String, UnixTimestamp

    customers, products = rows * 8 // 100, rows * 2 // 100
    drawn = {
        "customer_id": ("C", customers),
        "product_id": ("P", products),
        "category_id": ("G", CATEGORIES),
    }
    counts = {"customer": customers, "product": products, "category": CATEGORIES, "customer_product": rows * 7 // 10}
    count, single = counts.get(view.name, rows * 2 // 10), len(view.join_keys) == 1

    def key(name: str) -> str:
        letter, of = drawn[name]
        return f"'{letter}' || {'i' if single else f'hash(i, {name!r}) % {of}'} as {name}"

    def value(field: Any) -> str:
        draw = f"(hash({', '.join(view.join_keys)}, n, '{field.name}') % 1000)"
        sql = {
            Int64: f"({draw} % 40)::bigint",
            Bool: f"{draw} % 2 = 0",
            String: f"'G' || {draw} % {CATEGORIES}",
            UnixTimestamp: f"timestamp '2025-01-01' - {draw}::bigint * interval 1 hour",
        }.get(field.dtype, f"{draw} / 7.0")
        return f"case when {draw} % 19 > 0 then {sql} end as {field.name}"

    columns = ", ".join(value(field) for field in view.features if field.name != "valued_at")
    return f"""
        select {", ".join(view.join_keys)}, timestamp '2025-01-02' + n * interval 1 day as event_timestamp, {columns}
        from (select distinct {", ".join(map(key, view.join_keys))} from range({count}) as keys(i)) as known,
            range({VERSIONS}) as versions(n)
    """


def shop_requests(settings: Settings, count: int) -> list[tuple[str, list[str], list[str]]]:
    """So many requests: a customer with a history, 100 products and their categories."""
    with duckdb.connect(str(settings.warehouse), read_only=True) as connection:
        customers = connection.execute("select distinct customer_id from feat_customer_product order by 1").fetchall()
        products = connection.execute(
            "select product_id, coalesce(any_value(category_id), 'G0') from feat_product group by 1 order by 1"
        ).fetchall()
    draw = random.Random(7)
    found = []
    for _ in range(count):
        chosen = draw.sample(products, min(CANDIDATES, len(products)))
        found.append((draw.choice(customers)[0], [product for product, _ in chosen], [each for _, each in chosen]))
    return found
