"""A warehouse file, and dbt run in this process to build it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tiny_lake import DAYS, FIRST_DAY, LAST_DAY, day

PROJECT = Path(__file__).resolve().parents[2] / "dbt_project"
_parsed: dict[Path, bytes] = {}
"""The project as dbt has parsed it for a lake, whose address is in it; read anew for each run, as the graph does."""


@contextmanager
def environment(lake: Path, warehouse: Path) -> Iterator[None]:
    """The variables the profile reads."""
    values = {
        "ML_ASSETS_LAKE": str(lake),
        "ML_ASSETS_WAREHOUSE": str(warehouse),
        "ML_ASSETS_THREADS": "1",
        "ML_ASSETS_MEMORY": "1GB",
        "DO_NOT_TRACK": "1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in values.items():
            patch.setenv(name, value)
        yield


class Warehouse:
    """One warehouse file, and dbt to build it from one lake."""

    def __init__(self, lake: Path, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.lake = lake
        self.home = home
        self.path = home / "warehouse.duckdb"

    def dbt(self, *arguments: str, start: dt.date | None = FIRST_DAY, end: dt.date = LAST_DAY) -> dict[str, str]:
        """Run dbt for a range of days, or without one; the status of each node by name."""
        from dbt.adapters.duckdb.connections import DuckDBConnectionManager
        from dbt.cli.main import dbtRunner

        days = f"{{start_date: '{start}', end_date: '{end}'}}" if start else "{}"
        with environment(self.lake, self.path):
            outcome = dbtRunner(self._manifest()).invoke([*arguments, *self._places, "--vars", days])
        DuckDBConnectionManager.close_all_connections()
        if outcome.exception is not None:
            raise outcome.exception
        results = getattr(outcome.result, "results", [])
        return {result.node.name: str(result.status) for result in results}

    @property
    def _places(self) -> list[str]:
        target, logs = str(self.home / "target"), str(self.home / "logs")
        project = ("--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT))
        return ["--quiet", *project, "--target-path", target, "--log-path", logs]

    def _manifest(self) -> Any:
        """The parsed project; every run would parse it anew, as each has other days."""
        from dbt.cli.main import dbtRunner
        from dbt.contracts.graph.manifest import Manifest
        from dbt.parser.manifest import extended_mashumuro_decoder

        if self.lake not in _parsed:
            outcome = dbtRunner().invoke(["parse", *self._places])
            assert outcome.success, outcome.exception
            _parsed[self.lake] = (self.home / "target" / "partial_parse.msgpack").read_bytes()
        manifest = Manifest.from_msgpack(_parsed[self.lake], decoder=extended_mashumuro_decoder)
        manifest.build_flat_graph()
        return manifest

    def run(self, start: int = 0, end: int = DAYS - 1) -> None:
        """Build every model for the days of these numbers; every one must succeed."""
        statuses = self.dbt("run", start=day(start), end=day(end))
        assert set(statuses.values()) == {"success"}, statuses

    def rows(self, sql: str) -> list[tuple]:
        with duckdb.connect(str(self.path), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def columns(self, table: str) -> list[str]:
        return [name for name, *_ in self.rows(f"describe {table}")]

    def table(self, name: str) -> list[tuple]:
        """All rows of a table, in a fixed order."""
        return self.rows(f"select * from {name} order by all")
