"""The parity check passes on what was materialized and finds what was not."""

from __future__ import annotations

from datetime import timedelta

from feature_repo.online import materialize
from feature_repo.parity import check_parity
from feature_repo.stores import wide_table


def test_offline_equals_online(store, as_of):
    report = check_parity(store, as_of, sample=120)
    assert report.ok, report.mismatches[:5]
    assert report.rows > 100
    assert report.features == 104
    assert check_parity(store, as_of, sample=120) == report


def test_a_changed_value_and_a_stale_store_are_found(small_store, settings, as_of):
    store = small_store()
    materialize(store, as_of)
    connection = wide_table.open_writer(settings.online_store)
    connection.execute("update ml_assets__product set price = price + 1e-6 where price is not null")
    connection.close()
    tampered = check_parity(store, as_of, sample=40)
    assert not tampered.ok
    assert {each.way for each in tampered.mismatches} == {"feast", "reader"}
    assert {each.feature for each in tampered.mismatches} >= {"product__price"}
    materialize(store, as_of - timedelta(days=10))
    assert not check_parity(store, as_of, sample=40).ok
