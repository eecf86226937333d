"""The project as a whole: documented, free of deprecations, and its tests catch what they are for."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from dbt_warehouse import PROJECT, Warehouse, environment
from tiny_lake import day, random_events, random_products, write_day

FOLDERS = ("staging", "intermediate", "features", "marts")
MODELS = sorted(path for folder in FOLDERS for path in PROJECT.glob(f"models/{folder}/*.sql"))


def documented(model: Path) -> dict:
    """The one entry of the model's yml."""
    [entry] = yaml.safe_load(model.with_suffix(".yml").read_text())["models"]
    return entry


@pytest.mark.parametrize("model", MODELS, ids=lambda path: path.stem)
def test_model_states_its_grain_and_every_column(model: Path, built: Warehouse) -> None:
    entry = documented(model)
    assert entry["name"] == model.stem
    assert entry["description"].startswith("One row per ")
    assert entry["data_tests"]
    described = [column["name"] for column in entry["columns"] if column["description"]]
    assert sorted(described) == sorted(built.columns(model.stem))


def test_parses_without_a_warning(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from dbt.cli.main import dbtRunner

    with environment(tmp_path / "lake", tmp_path / "warehouse.duckdb"):
        outcome = dbtRunner().invoke(
            [
                *("--warn-error", "parse", "--show-all-deprecations"),
                *("--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)),
                *("--target-path", str(tmp_path / "target"), "--log-path", str(tmp_path / "logs")),
            ]
        )
    assert outcome.success, outcome.exception
    assert "deprecat" not in capfd.readouterr().out.lower()


def write_days(lake: Path, count: int, spoil: Callable[[int, list[dict]], list[dict]]) -> None:
    rng = np.random.default_rng(5)
    for number in range(count):
        events = random_events(rng, number)
        write_day(lake, day(number), spoil(number, events), random_products(rng, number))


def test_a_run_without_days_is_refused(tmp_path: Path) -> None:
    write_days(tmp_path / "lake", 1, lambda _, events: events)
    statuses = Warehouse(tmp_path / "lake", tmp_path / "home").dbt("run", "--select", "stg_events", start=None)
    assert statuses == {"stg_events": "error"}


def test_an_event_that_comes_twice_stops_the_build(tmp_path: Path) -> None:
    write_days(tmp_path / "lake", 3, lambda _, events: [*events, copy.copy(events[0])])
    statuses = Warehouse(tmp_path / "lake", tmp_path / "home").dbt("build", end=day(2))
    assert statuses["stg_events__grain"] == "fail"
    assert statuses["int_customer_days"] == statuses["mart_recommendation_spine"] == "skipped"


def test_a_day_without_a_file_stops_the_build(tmp_path: Path) -> None:
    write_days(tmp_path / "lake", 3, lambda _, events: events)
    statuses = Warehouse(tmp_path / "lake", tmp_path / "home").dbt("build", "--select", "stg_events", end=day(3))
    assert statuses["stg_events__every_day_landed"] == "fail"


def test_a_skipped_day_is_found(tmp_path: Path) -> None:
    write_days(tmp_path / "lake", 5, lambda _, events: events)
    warehouse = Warehouse(tmp_path / "lake", tmp_path / "home")
    selection = (
        "build",
        "--select",
        "stg_events",
        "mart_daily_counts",
        "--exclude-resource-type",
        "unit_test",
    )
    warehouse.dbt(*selection, end=day(1))
    statuses = warehouse.dbt(*selection, start=day(3), end=day(4))
    assert statuses["mart_daily_counts__no_day_skipped"] == "fail"
