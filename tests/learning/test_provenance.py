from __future__ import annotations

from datetime import date

import duckdb
import pytest

from ml_assets.learning import provenance
from ml_assets.learning.fingerprint import DATA_CODE, TRAINING_CODE, data_versions, sources
from ml_assets.learning.provenance import Provenance
from ml_assets.learning.spec import ModelSpec, SplitSpec
from ml_assets.learning.train import train
from ml_assets.learning.training_set import DatasetRef
from ml_assets.settings import Settings


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
    assert {"ml_assets/learning/train.py", "ml_assets/learning/dataset.py"} <= set(then.sources)


def test_changed_sources_are_named(then: Provenance):
    assert provenance.code_changes(then) == []
    own = sources((*DATA_CODE, *TRAINING_CODE))
    edited = then.model_copy(
        update={
            "sources": {**own, "ml_assets/learning/train.py": "0", "ml_assets/retrieval/index.py": "0", "gone": "1"}
        }
    )
    assert provenance.code_changes(edited) == ["gone", "ml_assets/learning/train.py", "ml_assets/retrieval/index.py"]
    assert provenance.code_changes(edited, TRAINING_CODE) == ["gone", "ml_assets/learning/train.py"]
    hashed = Provenance(code="0")
    assert provenance.code_changes(hashed) == ["sources of the training set"]


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
