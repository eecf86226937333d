"""However the days are cut into runs, the tables are the same, to the bit."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
from dbt_warehouse import PROJECT, Warehouse
from tiny_lake import DAYS, day, write_day, write_random_lake

LAYERS = ("staging", "intermediate", "features", "marts")
MODELS = sorted(path.stem for layer in LAYERS for path in PROJECT.glob(f"models/{layer}/*.sql"))

# Single days, an empty day, a week, and two months at once; 91 and 98 end a decision's horizon or begin one.
RUNS = [(0, 20), (21, 33), (34, 34), (35, 88), (89, 89), (90, 90), (91, 97), (98, DAYS - 1)]


def test_days_built_in_pieces_equal_days_built_at_once(
    built: Warehouse, new_warehouse: Callable[..., Warehouse]
) -> None:
    pieces = new_warehouse()
    for start, end in RUNS:
        pieces.run(start, end)
    differing = [model for model in MODELS if pieces.table(model) != built.table(model)]
    assert differing == []


def test_building_days_again_changes_nothing(built: Warehouse, new_warehouse: Callable[..., Warehouse]) -> None:
    warehouse = new_warehouse()
    shutil.copy(built.path, warehouse.path)
    warehouse.run(40, 70)
    warehouse.run(DAYS - 1, DAYS - 1)
    assert [model for model in MODELS if warehouse.table(model) != built.table(model)] == []


def test_a_day_that_becomes_empty_leaves_no_rows(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    write_random_lake(lake, seed=3)
    warehouse = Warehouse(lake, tmp_path / "warehouse")
    warehouse.run(0, 20)
    write_day(lake, day(20), [], [])
    warehouse.run(20, 20)
    for model in ("stg_events", "int_sessions", "int_customer_days", "feat_customer_product"):
        assert warehouse.rows(f"select count(*) from {model} where event_day = date '{day(20)}'") == [(0,)]
    assert warehouse.rows(f"select events from mart_daily_counts where event_day = date '{day(20)}'") == [(0,)]


def test_one_day_opens_one_file(built: Warehouse) -> None:
    compiled = (built.home / "target/compiled/ml_assets/models/staging/stg_events.sql").read_text()
    one_day = compiled.replace(day(0).isoformat(), day(50).isoformat()).replace(
        day(DAYS - 1).isoformat(), day(50).isoformat()
    )
    with duckdb.connect() as connection:
        plan = connection.execute(f"explain analyze {one_day}").fetchall()[0][1]
    assert "Scanning Files: 1/" in plan, plan
