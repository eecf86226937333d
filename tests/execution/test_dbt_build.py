"""dbt runs inside the step: its models are assets, its tests are checks, nothing is parsed twice."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from tiny_warehouse import DAYS, FIRST_DAY, write_lake

from ml_assets.config.settings import Settings, load_settings
from ml_assets.execution.runs import range_tags

LAST_DAY = FIRST_DAY + dt.timedelta(days=DAYS - 1)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A lake whose days lie within the calendar of the shop, and no warehouse yet."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ML_ASSETS_HOME", str(tmp_path_factory.mktemp("dbt_build")))
        patch.setenv("ML_ASSETS_SHOP", "online_retail")
        settings = load_settings()
        for name, value in {"LAKE": settings.lake, "WAREHOUSE": settings.warehouse, "MEMORY": "1GB"}.items():
            patch.setenv(f"ML_ASSETS_{name}", str(value))
        write_lake(settings.lake, DAYS)
        yield settings


@pytest.fixture(scope="module")
def warehouse(shop: Settings) -> dg.AssetsDefinition:
    from dagster.components.core.component_tree import TestComponentTree

    from ml_assets.components.warehouse import DbtWarehouse

    assets, *_ = DbtWarehouse().build_defs(TestComponentTree.for_test().load_context).assets or []
    assert isinstance(assets, dg.AssetsDefinition)
    return assets


def materialize(assets: dg.AssetsDefinition, first: dt.date, last: dt.date, **options: Any) -> Any:
    return dg.materialize([assets], tags=range_tags(str(first), str(last)), raise_on_error=False, **options)


@pytest.fixture(scope="module")
def built(warehouse: dg.AssetsDefinition) -> Any:
    return materialize(warehouse, FIRST_DAY, LAST_DAY - dt.timedelta(days=1))


def test_every_model_is_materialized_with_its_rows(shop: Settings, built: Any) -> None:
    assert built.success
    with duckdb.connect(str(shop.warehouse), read_only=True) as connection:
        (rows,) = connection.execute("select count(*) from stg_events").fetchone() or (0,)
    counts = {
        each.asset_key.to_user_string(): each.metadata.get("dagster/row_count")
        for each in (event.materialization for event in built.get_asset_materialization_events())
    }
    assert counts["stg_events"].value == rows > 0
    assert counts["feat_customer"].value > 0
    assert counts["mart_products"] is None  # a view


def test_every_data_test_is_a_passed_check(built: Any) -> None:
    checks = built.get_asset_check_evaluations()
    assert {check.asset_key.to_user_string() for check in checks} >= {"stg_events", "feat_product", "mart_daily_counts"}
    assert [check.check_name for check in checks if not check.passed] == []


def test_a_day_more_replaces_no_other(shop: Settings, warehouse: dg.AssetsDefinition, built: Any) -> None:
    with duckdb.connect(str(shop.warehouse), read_only=True) as connection:
        before = connection.execute("select count(*) from stg_events").fetchall()
    assert materialize(warehouse, LAST_DAY, LAST_DAY).success
    with duckdb.connect(str(shop.warehouse), read_only=True) as connection:
        earlier = connection.execute("select count(*) from stg_events where event_day < ?", [LAST_DAY]).fetchall()
        newest = connection.execute("select max(event_day) from mart_daily_counts").fetchall()
    assert earlier == before
    assert newest == [(LAST_DAY,)]


def test_one_model_alone_leaves_the_others(warehouse: dg.AssetsDefinition, built: Any) -> None:
    done = materialize(warehouse, FIRST_DAY, FIRST_DAY, selection="stg_products")
    assert done.success
    assert [event.asset_key.to_user_string() for event in done.get_asset_materialization_events()] == ["stg_products"]


def test_a_failed_test_fails_the_step_in_dbts_words(shop: Settings, warehouse: dg.AssetsDefinition, built: Any) -> None:
    missing = shop.lake / "events" / f"event_day={FIRST_DAY}"
    missing.rename(shop.home / "gone")
    try:
        done = materialize(warehouse, FIRST_DAY, FIRST_DAY)
    finally:
        (shop.home / "gone").rename(missing)
    assert not done.success
    (failure,) = done.get_step_failure_events()
    assert "every_day_landed" in str(failure.step_failure_data.error)


def test_the_project_is_parsed_once(shop: Settings, warehouse: dg.AssetsDefinition, built: Any) -> None:
    from dagster_dbt import DbtProject

    from ml_assets.config.settings import PROJECT
    from ml_assets.execution.dbt_build import PARSED, STAMP, prepare

    target = shop.shop_home / "dbt"
    project = DbtProject(PROJECT / "dbt_project", target_path=target)
    before = (target / PARSED).stat().st_mtime_ns
    prepare(project, shop)
    assert (target / PARSED).stat().st_mtime_ns == before
    (target / STAMP).write_text("parsed for another lake")
    prepare(project, shop)
    assert (target / PARSED).stat().st_mtime_ns > before
    assert _places(target / "manifest.json") == _lake(shop.lake)


def _places(manifest: Path) -> set[str]:
    sources = json.loads(manifest.read_text())["sources"].values()
    return {source["config"]["external_location"].split("{name}")[0] for source in sources}


def _lake(lake: Path) -> set[str]:
    return {f"read_parquet('{lake}/"}
