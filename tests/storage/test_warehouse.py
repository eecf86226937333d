"""The warehouse is read only, and whoever reads it too early is told what to do."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime

import duckdb
import pytest

from ml_assets.config.settings import Settings
from ml_assets.storage.warehouse import WarehouseError, as_of, connect, some_customers


@pytest.fixture
def built(settings: Settings) -> Settings:
    settings.warehouse.parent.mkdir(parents=True)
    with duckdb.connect(str(settings.warehouse)) as connection:
        connection.execute("create table mart_daily_counts as select date '2026-03-04' as event_day, 7 as events")
        connection.execute("create table mart_active_customers as select 'C' || range as customer_id from range(20)")
    return settings


def test_now_is_the_midnight_after_the_newest_day(built: Settings) -> None:
    assert as_of(built) == datetime(2026, 3, 5)


def test_the_same_customers_are_picked_every_time(built: Settings) -> None:
    picked = some_customers(built, 5)
    assert len(set(picked)) == 5
    assert picked == some_customers(built, 5)


def test_nobody_writes_through_it(built: Settings) -> None:
    with connect(built) as connection, pytest.raises(duckdb.Error, match="read-only"):
        connection.execute("create table stray as select 1")


def test_a_warehouse_without_the_shop_names_the_job_to_run(settings: Settings) -> None:
    settings.warehouse.parent.mkdir(parents=True)
    with duckdb.connect(str(settings.warehouse)) as made:
        made.execute("create table mart_of_another_source as select 1 as one")
    with pytest.raises(WarehouseError, match="ingest"):
        as_of(settings)


def test_a_missing_warehouse_names_the_job_to_run(settings: Settings) -> None:
    with pytest.raises(WarehouseError, match="ingest"):
        as_of(settings)


def test_a_writer_that_never_ends_is_reported(built: Settings) -> None:
    code = f"import duckdb; c = duckdb.connect({str(built.warehouse)!r}); print('held', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None and writer.stdout.readline() == "held\n"
        with pytest.raises(WarehouseError, match="cannot read the warehouse"):
            connect(built, patience_seconds=0.1)
        writer.communicate("\n")
    assert as_of(built) == datetime(2026, 3, 5)
