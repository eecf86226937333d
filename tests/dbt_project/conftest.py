"""Fixtures: the random lake, and its warehouse built in one run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from dbt_warehouse import Warehouse
from tiny_lake import write_random_lake


@pytest.fixture(scope="session")
def random_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lake = tmp_path_factory.mktemp("lake") / "it's [1]*?"  # a name is neither a pattern nor a quote
    lake.mkdir()
    write_random_lake(lake, seed=11)
    return lake


@pytest.fixture(scope="session")
def built(random_lake: Path, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """The random lake built in one run over all its days, tests included; never changed by a test.

    One product sells without ever being listed, which is a warning.
    """
    warehouse = Warehouse(random_lake, tmp_path_factory.mktemp("built"))
    statuses = warehouse.dbt("build")
    bad = {name: status for name, status in statuses.items() if status not in {"success", "pass"}}
    assert bad == {"mart_products__named": "warn"}
    return warehouse


@pytest.fixture
def new_warehouse(random_lake: Path, tmp_path: Path) -> Callable[[Path | None], Warehouse]:
    """An empty warehouse over the random lake, or over another one."""
    return lambda lake=None: Warehouse(lake or random_lake, tmp_path / "warehouse")
