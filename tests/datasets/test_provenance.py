from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_labelled import labelled_spec

from ml_assets.config.model_spec import ModelSpec, SplitSpec, Task
from ml_assets.config.numbers import Bounds
from ml_assets.config.settings import Settings
from ml_assets.config.source_spec import parse_source
from ml_assets.datasets import provenance
from ml_assets.datasets.code import training_code
from ml_assets.datasets.fingerprint import data_versions
from ml_assets.datasets.provenance import Provenance
from ml_assets.datasets.training_set import DatasetRef
from ml_assets.training.train import train


@pytest.fixture
def then(spec: ModelSpec, dataset: DatasetRef) -> Provenance:
    return Provenance.now(spec, dataset)


@pytest.fixture
def warehouse():
    with duckdb.connect() as made:
        made.execute(
            "create table mart_daily_counts as select cast(day as date) as event_day from "
            "generate_series(timestamp '2011-10-01', timestamp '2011-12-25', interval 1 day) as days (day)"
        )
        for table in ("stg_events", "stg_products"):
            made.execute(f"create table {table} as select event_day, 1.5 as price from mart_daily_counts")
        made.execute("create table mart_recommendation_spine as select event_day as decision_day from stg_events")
        yield made


def test_a_version_keeps_what_it_was_trained_from(
    spec: ModelSpec, dataset: DatasetRef, settings: Settings, then: Provenance
):
    version = train(spec, settings, dataset).version
    assert Provenance.of(version) == then
    assert then.trained_until == date(2011, 11, 7)
    assert then.newest == date(2011, 11, 28)
    assert {"py ml_assets.training.train", "py ml_assets.datasets.build", "sql feat_customer"} <= set(then.sources)


def test_it_keeps_the_bounds_of_the_contract_that_every_row_of_the_training_set_is_within(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    columns = {name: {"from": name, "type": "DOUBLE", "description": "d"} for name in ("fare", "trip_miles")}
    columns |= {"fare": {**columns["fare"], "above": 0, "max": 500}}
    columns["trip_miles"]["min"] = 0
    columns["trip_id"] = {"from": "trip_id", "type": "VARCHAR", "description": "d"}
    trips = {"description": "d", "address": "{project}/trips.csv", "key": ["trip_id"], "columns": columns}
    columns["at"] = {"from": "at", "type": "TIMESTAMP", "description": "d", "unit": "local time"}
    trips |= {"day": "date '2026-01-01'", "time": {"column": "at"}, "max_quarantine_share": 0.01}
    said = {"name": "rides", "description": "d", "calendar": {"start": "2026-01-01"}, "tables": {"trips": trips}}
    monkeypatch.setattr("ml_assets.datasets.source_reading.sources_beside", lambda: {"rides": parse_source(said)})
    asked = {"source": "rides", "entity": "trip_id", "request_features": ("fare", "trip_miles", "fare_per_mile")}
    spec = labelled_spec(Task.BINARY).model_copy(update=asked)
    rows = {"fare": [1e-9, 500.0], "trip_miles": [-2.0, 3.0], "fare_per_mile": [None, -1.0]}  # the SQL made other miles
    table = pa.table({f"request__{name}": pa.array(values, pa.float32()) for name, values in rows.items()})
    pq.write_table(table, tmp_path / "rows.parquet")
    assert provenance.bounds_of(spec, DatasetRef(tmp_path)) == {"fare": Bounds(above=0, max=500)}


def test_changed_code_is_named_part_by_part(then: Provenance, spec: ModelSpec):
    now = provenance.code_of(spec)
    assert provenance.code_changes(then, now) == []
    other = {"py ml_assets.training.train": "0", "sql feat_customer": "0", "macro gone": "1"}
    edited = then.model_copy(update={"sources": {**then.sources, **other}})
    assert provenance.code_changes(edited, now) == ["macro gone", "py ml_assets.training.train", "sql feat_customer"]
    assert provenance.code_changes(edited, training_code()) == ["py ml_assets.training.train"]


def test_a_version_whose_code_was_recorded_by_files_counts_as_made_by_todays(then: Provenance, spec: ModelSpec):
    by_files = then.model_copy(
        update={"sources": {"ml_assets/learning/train.py": "0", "dbt_project/models/a.sql": "1"}}
    )
    assert provenance.code_changes(by_files, provenance.code_of(spec)) == []
    assert provenance.code_changes(Provenance(code="0"), provenance.code_of(spec)) == []


def test_a_changed_spec_is_told_key_by_key_but_another_cut_is_not_another_model(then: Provenance, spec: ModelSpec):
    cut = spec.model_copy(update={"split": SplitSpec(validation=1, test=1, holdout=0), "slices": ()})
    assert provenance.spec_changes(then, cut) == []
    deeper = spec.model_copy(update={"training": spec.training.model_copy(update={"rounds": 300})})
    assert provenance.spec_changes(then, deeper) == ["training.rounds: 25, now 300"]
    assert then.spec_then(deeper).training == spec.training
    assert Provenance().spec_then(deeper) == deeper


def test_rewritten_data_is_told_from_new_data(then: Provenance, spec: ModelSpec, warehouse: duckdb.DuckDBPyConnection):
    known = then.model_copy(update={"data": data_versions(warehouse, spec, date(2011, 12, 5))})
    assert provenance.data_changes(known, spec, warehouse) == []
    for table in ("stg_events", "stg_products", "mart_recommendation_spine", "mart_daily_counts"):
        column = warehouse.execute(f"select * from {table} limit 0").description[0][0]
        warehouse.execute(f"insert into {table} by name select date '2011-12-26' as {column}")
    assert provenance.data_changes(known, spec, warehouse) == []  # days came, nothing was rewritten
    warehouse.execute("update stg_products set price = 2 where event_day = date '2011-12-04'")
    assert provenance.data_changes(known, spec, warehouse) == ["catalogue before 2011-12-05"]
