"""Materializing and reading the online store."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, timedelta

import duckdb
import numpy as np
import pytest

from feature_repo.description import OnlineStoreError
from feature_repo.online import OnlineReader, materialize
from ml_assets.settings import PROJECT

DAY = timedelta(days=1)


def contents(settings) -> dict[str, list[tuple]]:
    from feature_repo.stores import wide_table

    connection = wide_table.open_reader(settings.online_store)
    names = [row[0] for row in connection.execute("select name from wide_views order by name")]
    found = {name: connection.execute(f"select * from {name} order by 1, 2").fetchall() for name in names}
    connection.close()
    return found


def test_the_newest_row_of_every_key_is_there(store, warehouse, as_of):
    with duckdb.connect(str(warehouse.warehouse), read_only=True) as connection:
        expected = connection.execute("""
            select distinct on (customer_id, product_id)
                customer_id, product_id, views_total, epoch_us(event_timestamp)
            from feat_customer_product order by customer_id, product_id, event_timestamp desc
        """).fetchall()
    rows = contents(warehouse)["ml_assets__customer_product"]
    assert [(row[0], row[1], row[2], row[-1]) for row in rows] == expected
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
    step_by_step = contents(settings)
    materialize(store, as_of, full=True)
    assert contents(settings) == step_by_step


def test_repeating_changes_nothing_and_going_back_restores(small_store, settings, as_of):
    store = small_store()
    materialize(store, as_of - 5 * DAY)
    earlier = contents(settings)
    written = materialize(store, as_of)
    now = contents(settings)
    again = materialize(store, as_of)
    assert contents(settings) == now != earlier
    assert again["customer_product"] < written["customer_product"]
    materialize(store, as_of - 5 * DAY)
    assert contents(settings) == earlier


def test_reader_gives_each_row_its_own_values_wherever_it_stands(store, warehouse, as_of):
    reader, now = OnlineReader(warehouse.online_store), as_of.replace(tzinfo=UTC).timestamp()
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


def test_a_stranger_has_no_features_and_an_unknown_customer_only_the_products(store, warehouse, as_of):
    reader, now = OnlineReader(warehouse.online_store), as_of.replace(tzinfo=UTC).timestamp()
    names = np.array(reader.feature_names)
    nobody = reader.read(None, ["p1"], ["g1"], now)[0]
    assert np.isnan(nobody[np.char.startswith(names, "customer")]).all()
    assert np.isfinite(nobody[np.char.startswith(names, "product__")]).any()
    assert np.isnan(reader.read("stranger", ["unknown"], ["unknown"], now)).all()
    assert reader.read("c1", [], [], now).shape == (0, len(names))


def test_many_threads_read_the_same(store, warehouse, as_of):
    reader, now = OnlineReader(warehouse.online_store), as_of.replace(tzinfo=UTC).timestamp()
    products, categories = [f"p{n}" for n in range(10)], [f"g{n % 7}" for n in range(10)]
    customers = [f"c{n}" for n in range(20)]
    expected = [reader.read(each, products, categories, now) for each in customers]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda each: reader.read(each, products, categories, now), customers))
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(found, expected, strict=True))


def test_reader_says_what_is_missing(store, warehouse, tmp_path):
    with pytest.raises(OnlineStoreError, match="no online store"):
        OnlineReader(tmp_path / "online.db")
    with pytest.raises(OnlineStoreError, match="no feature service 'other'; it has product_recommender"):
        OnlineReader(warehouse.online_store, service="other")
    with pytest.raises(ValueError, match="differ in length"):
        OnlineReader(warehouse.online_store).read("c1", ["p1"], [], 0.0)


def test_reading_imports_neither_feast_nor_pandas():
    code = "import sys, feature_repo.online; sys.exit(bool({'feast', 'pandas', 'duckdb'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False).returncode == 0
