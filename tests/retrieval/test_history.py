from __future__ import annotations

from datetime import date, datetime

import duckdb
import pytest

from ml_assets.retrieval.history import read_catalogue, read_interactions


@pytest.fixture
def warehouse():
    with duckdb.connect() as connection:
        connection.execute(
            "create table int_sessions as select * from (values "
            "('s1','c1','p1',date '2026-01-01',1,0,0,0,0), ('s2','c1','p2',date '2026-01-05',0,1,2,1,3), "
            "('s3','c2','p1',date '2026-01-09',0,0,1,1,1)) "
            "t(session_id, customer_id, product_id, event_day, views, carts, purchases, orders, quantity)"
        )
        connection.execute(
            "create table stg_products as select * from (values "
            "('p1',date '2026-01-01','k',true,timestamp '2026-01-01 08:00'), "
            "('p1',date '2026-01-04','k',true,timestamp '2026-01-04 08:00'), "
            "('p1',date '2026-01-04','k',false,timestamp '2026-01-04 09:00'), "
            "('p2',date '2026-01-08','k',true,timestamp '2026-01-08 08:00')) "
            "t(product_id, event_day, category_id, available, changed_at)"
        )
        yield connection


def test_interactions_lie_between_the_history_and_the_decision(warehouse):
    found = read_interactions(warehouse, before=date(2026, 1, 9), history_days=5)
    assert found.to_pylist() == [
        {
            "customer_id": "c1",
            "product_id": "p2",
            "event_day": date(2026, 1, 5),
            "views": 0,
            "carts": 1,
            "orders": 1,
            "quantity": 3,
            "session_id": "s2",
        }
    ]


def test_the_catalogue_keeps_the_last_change_of_each_day_before_the_decision(warehouse):
    found = read_catalogue(warehouse, before=datetime(2026, 1, 8).date()).to_pylist()
    assert [(row["product_id"], row["event_day"].day, row["available"]) for row in found] == [
        ("p1", 1, True),
        ("p1", 4, False),
    ]
