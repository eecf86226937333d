"""Materializing and reading the online store."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, timedelta

import duckdb
import numpy as np
import pandas as pd
import pytest
from online_contents import contents

from feature_repo.online import OnlineReader, materialize, open_reader
from feature_repo.stores.description import OnlineStoreError
from feature_repo.views import product as product_view
from ml_assets.config.settings import PROJECT, Settings, load_settings

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture(params=["sqlite", "redis"])
def settings(request, tmp_path, monkeypatch) -> Settings:
    """Settings of an empty home with either online store."""
    monkeypatch.setattr(os, "environ", dict(os.environ))
    address = request.getfixturevalue("empty_redis") if request.param == "redis" else ""
    return load_settings({"ML_ASSETS_HOME": str(tmp_path / "home"), "ML_ASSETS_ONLINE_STORE": address})


def test_the_newest_row_of_every_key_is_there(materialized, as_of):
    settings, store = materialized
    with duckdb.connect(str(settings.warehouse), read_only=True) as connection:
        expected = connection.execute("""
            select distinct on (customer_id, product_id)
                customer_id, product_id, views_total, epoch_us(event_timestamp)
            from feat_customer_product order by customer_id, product_id, event_timestamp desc
        """).fetchall()
    rows = contents(store)["customer_product"]
    assert [(*key, values["views_total"], when) for key, (when, values) in rows.items()] == expected
    assert len(expected) > 100


def test_day_by_day_equals_all_at_once_also_after_late_vanished_and_corrected_rows(small_store, settings, as_of):
    store = small_store()
    changes = [
        "insert into feat_product select * replace ('p_late' as product_id) from feat_product limit 1",
        "delete from feat_customer_product where event_day >= date '2024-02-05'",
        "update feat_customer set views_7d = 77 where event_day = date '2024-01-05'",
    ]
    for day in range(-6, 1):
        if changes and day % 2:
            with duckdb.connect(str(settings.warehouse)) as connection:
                connection.execute(changes.pop())
        materialize(store, as_of + day * DAY)
    step_by_step = contents(store)
    materialize(store, as_of, full=True)
    assert contents(store) == step_by_step


def test_repeating_changes_nothing_and_going_back_restores(small_store, settings, as_of):
    store = small_store()
    materialize(store, as_of - 5 * DAY)
    earlier = contents(store)
    written = materialize(store, as_of)
    now = contents(store)
    again = materialize(store, as_of)
    assert contents(store) == now != earlier
    assert again["customer_product"] < written["customer_product"]
    materialize(store, as_of - 5 * DAY)
    assert contents(store) == earlier


def pushed(product: str, price: float, moment) -> pd.DataFrame:
    names = [field.name for field in product_view.features]
    return pd.DataFrame(
        {**dict.fromkeys(names), "product_id": [product], "price": [price], "event_timestamp": [moment]}
    )


def test_what_was_pushed_stays_until_the_warehouse_is_as_new(small_store, settings, as_of):
    store = small_store()

    def price(product: str) -> float:
        reader = open_reader(settings.online_store)
        at = reader.feature_names.index("product__price")
        return reader.read(None, [product], [None], 0.0)[0, at]

    def warehouse_says(product: str, price: float, moment) -> None:
        with duckdb.connect(str(settings.warehouse)) as connection:
            connection.execute(
                "insert into feat_product by name select $1 as product_id, $2 as price, "
                "$3::timestamp as event_timestamp, $3::date - 1 as event_day",
                [product, price, moment],
            )

    materialize(store, as_of)
    for product, moment in (("p1", as_of - HOUR), ("p2", as_of + HOUR), ("new", as_of - HOUR)):
        store.write_to_online_store("product", pushed(product, 1.5, moment.replace(tzinfo=UTC)))
    store.write_to_online_store("product", pushed("p3", -1.0, (as_of - 100 * DAY).replace(tzinfo=UTC)))
    for full in (False, True):
        materialize(store, as_of, full=full)
        assert [price(product) for product in ("p1", "p2", "new")] == [1.5] * 3
        assert price("p3") != -1.0
    warehouse_says("p1", 2.5, as_of)
    materialize(store, as_of)
    assert [price(product) for product in ("p1", "p2")] == [2.5, 1.5]
    with duckdb.connect(str(settings.warehouse)) as connection:
        connection.execute("delete from feat_product where price = 2.5")
    materialize(store, as_of)
    assert price("p1") not in {1.5, 2.5}


def test_reader_gives_each_row_its_own_values_wherever_it_stands(materialized, as_of):
    reader, now = open_reader(materialized[0].online_store), as_of.replace(tzinfo=UTC).timestamp()
    products = [f"p{number}" for number in range(40)] + ["unknown", None]
    categories = [f"g{number % 7}" for number in range(40)] + [None, "unknown"]
    together = reader.read("c3", products, categories, now)
    assert together.shape == (42, len(reader.feature_names))
    assert np.isfinite(together).any(axis=0).mean() > 0.9
    for place in (0, 17, 40, 41):
        alone = reader.read("c3", products[place : place + 1], categories[place : place + 1], now)
        assert np.allclose(alone[0], together[place], rtol=1e-12, equal_nan=True)
    turned = reader.read_many(["c3"] * 42, products[::-1], categories[::-1], now)
    assert np.allclose(turned[::-1], together, rtol=1e-12, equal_nan=True)


def test_a_stranger_has_no_features_and_an_unknown_customer_only_the_products(materialized, as_of):
    reader, now = open_reader(materialized[0].online_store), as_of.replace(tzinfo=UTC).timestamp()
    names = np.array(reader.feature_names)
    nobody = reader.read(None, ["p1"], ["g1"], now)[0]
    assert np.isnan(nobody[np.char.startswith(names, "customer")]).all()
    assert np.isfinite(nobody[np.char.startswith(names, "product__")]).any()
    assert np.isnan(reader.read("stranger", ["unknown"], ["unknown"], now)).all()
    assert reader.read("c1", [], [], now).shape == (0, len(names))


def test_many_threads_read_the_same(materialized, as_of):
    reader, now = open_reader(materialized[0].online_store), as_of.replace(tzinfo=UTC).timestamp()
    products, categories = [f"p{n}" for n in range(10)], [f"g{n % 7}" for n in range(10)]
    customers = [f"c{n}" for n in range(20)]
    expected = [reader.read(each, products, categories, now) for each in customers]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda each: reader.read(each, products, categories, now), customers))
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(found, expected, strict=True))


def test_reader_says_what_is_missing(materialized, tmp_path):
    with pytest.raises(OnlineStoreError, match="no online store"):
        OnlineReader(tmp_path / "online.db")
    address = materialized[0].online_store
    with pytest.raises(OnlineStoreError, match="no feature service 'other'; it has product_recommender"):
        open_reader(address, service="other")
    with pytest.raises(ValueError, match="differ in length"):
        open_reader(address).read("c1", ["p1"], [], 0.0)


def test_reading_imports_neither_feast_nor_pandas():
    heavy = {"feast", "pandas", "duckdb", "pyarrow", "redis"}
    code = f"import sys, feature_repo.online; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False).returncode == 0
