"""The parity check passes on what was materialized and finds what was not."""

from __future__ import annotations

from datetime import timedelta

from online_contents import contents

from feature_repo.materialization import online_store
from feature_repo.online import materialize
from feature_repo.parity import check_parity
from feature_repo.stores.packing import Packed
from feature_repo.stores.wide import table_of
from feature_repo.views import product


def test_offline_equals_online(materialized, as_of):
    _, store = materialized
    report = check_parity(store, as_of, sample=120)
    assert report.ok, report.mismatches[:5]
    assert report.rows > 100
    assert report.features == 104
    assert check_parity(store, as_of, sample=120) == report


def test_a_changed_value_and_a_stale_store_are_found(small_store, as_of):
    store = small_store()
    materialize(store, as_of)
    raise_prices(store)
    tampered = check_parity(store, as_of, sample=40)
    assert not tampered.ok
    assert {each.way for each in tampered.mismatches} == {"feast", "reader"}
    assert {each.feature for each in tampered.mismatches} >= {"product__price"}
    materialize(store, as_of - timedelta(days=10))
    assert not check_parity(store, as_of, sample=40).ok


def raise_prices(store) -> None:
    """Push every product with a price a millionth higher."""
    table, known = table_of(store.config, product), contents(store)["product"]
    rows = [
        table.layout.pack({**values, "price": (values["price"] or 0.0) + 1e-6}, when) for when, values in known.values()
    ]
    packed = Packed([[key for (key,) in known]], [when for when, _ in known.values()], rows)
    online_store(store).push(store.config, table, [packed])
