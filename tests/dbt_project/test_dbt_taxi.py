"""The taxi models on a few trips: documented as built, the label by hand, features that know the days before only."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from dbt_warehouse import PROJECT, Warehouse
from shipped import TAXI

FIRST = dt.date(2014, 3, 1)
pytestmark = TAXI
MODELS = sorted(PROJECT.glob("models/chicago_taxi/*.sql"))
TRIPS = {0: [(10.0, 3.0), (10.0, 2.0), (8.0, 0.0)], 1: [(20.0, 5.0)], 2: []}
"""Fare and tip of each day's trips, by the number of the day."""


def day(number: int) -> dt.date:
    return FIRST + dt.timedelta(days=number)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    home = tmp_path_factory.mktemp("taxi")
    kinds = {"trip_id": pa.string(), "started_at": pa.timestamp("us"), "ended_at": pa.timestamp("us")}
    kinds |= dict.fromkeys(("company", "pickup_area", "dropoff_area", "payment_type"), pa.string())
    kinds |= dict.fromkeys(("trip_seconds", "trip_miles", "fare", "tips"), pa.float64())
    for number, trips in TRIPS.items():
        start = dt.datetime.combine(day(number), dt.time(9))
        rows = [
            {
                "trip_id": f"{number}-{at}", "started_at": start, "ended_at": start + dt.timedelta(minutes=30),
                "company": None, "pickup_area": "8", "dropoff_area": None, "payment_type": "Cash",
                "trip_seconds": 1800.0, "trip_miles": 4.0, "fare": fare, "tips": tip,
            }
            for at, (fare, tip) in enumerate(trips)
        ]  # fmt: skip
        folder = home / "lake" / "trips" / f"event_day={day(number)}"
        folder.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(list(kinds.items()))), folder / "part.parquet")
    warehouse = Warehouse(home / "lake", home / "home")
    statuses = warehouse.dbt("build", "--select", "ml_assets.chicago_taxi", start=day(0), end=day(2))
    assert set(statuses.values()) <= {"success", "pass"}, statuses
    return warehouse


@pytest.mark.parametrize("model", MODELS, ids=lambda path: path.stem)
def test_documented_as_built(model: Path, built: Warehouse) -> None:
    [entry] = yaml.safe_load(model.with_suffix(".yml").read_text())["models"]
    assert entry["name"] == model.stem
    assert entry["description"].startswith("One row per ")
    assert entry["data_tests"]
    assert sorted(column["name"] for column in entry["columns"]) == sorted(built.columns(model.stem))


def test_a_tip_of_exactly_a_fifth_is_not_above_it(built: Warehouse) -> None:
    found = dict(built.rows("select trip_id, tipped from mart_taxi_tips_spine"))
    assert found == {"0-0": 1, "0-1": 0, "0-2": 0, "1-0": 1}


def test_a_feature_row_counts_from_the_midnight_after_its_day(built: Warehouse) -> None:
    rows = built.rows(
        "select event_timestamp, trips_28d, tip_share_90d, mean_fare_90d from feat_taxi_pickup order by event_timestamp"
    )
    assert [(when.date(), trips) for when, trips, *_ in rows] == [(day(1), 3), (day(2), 4)]
    assert rows[0][2] == pytest.approx((1 + 1) / (3 + 5))
    assert rows[1][2] == pytest.approx((2 + 1) / (4 + 5))
    assert rows[1][3] == pytest.approx(12.0)


def test_the_shop_is_what_dbt_builds_without_a_selection(built: Warehouse) -> None:
    listed = built.dbt("compile", start=day(0), end=day(2))
    assert "stg_events" in listed
    assert not {path.stem for path in MODELS} & set(listed)
