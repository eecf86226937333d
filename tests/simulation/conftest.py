"""A small shop, big enough for its statistics to show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta

import duckdb
import pyarrow as pa
import pytest

from ml_assets.simulation import DayFiles, Scenario, Shop, SimulationSpec

SPEC = SimulationSpec(customers=1_500, products=240, categories=12, events_per_day=900.0, days=35)
CHANGE = SPEC.start + timedelta(days=12)


def live(spec: SimulationSpec, days: int) -> list[DayFiles]:
    shop = Shop(spec)
    return [shop.day(spec.start + timedelta(days=n)) for n in range(days)]


@pytest.fixture(scope="session")
def spec() -> SimulationSpec:
    return SPEC


@pytest.fixture(scope="session")
def history() -> list[DayFiles]:
    return live(SPEC, SPEC.days)


@pytest.fixture(scope="session")
def change() -> date:
    return CHANGE


@pytest.fixture(scope="session")
def scenario_history() -> Callable[[str], list[DayFiles]]:
    def of(name: str) -> list[DayFiles]:
        if name not in known:
            scenario = Scenario.model_validate({"name": name, "day": CHANGE})
            known[name] = live(SPEC.model_copy(update={"scenario": scenario}), 26)
        return known[name]

    known: dict[str, list[DayFiles]] = {}
    return of


@pytest.fixture(scope="session")
def clean_rows() -> Callable[[Sequence[DayFiles]], duckdb.DuckDBPyConnection]:
    """Open a database with the usable rows as typed table `e` and the catalogue as `p`."""

    def of(history: Sequence[DayFiles]) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect()
        connection.register("raw", pa.concat_tables(_usable(f.events, f.faults, f.day) for f in history))
        connection.register("changes", pa.concat_tables(_usable(f.products, f.product_faults, f.day) for f in history))
        connection.execute(
            "create table e as select * replace (ts::timestamp as ts, price::double as price, "
            "quantity::int as quantity) from raw"
        )
        connection.execute("create table p as select * replace (price::double as price) from changes")
        return connection

    return of


def _usable(table: pa.Table, faults: pa.Table, day: date) -> pa.Table:
    bad = set(faults["row"].to_pylist())
    rows = pa.array([row for row in range(table.num_rows) if row not in bad], pa.int64())
    good = table.take(rows)
    return good.append_column("event_day", pa.array([day] * good.num_rows, pa.date32()))
