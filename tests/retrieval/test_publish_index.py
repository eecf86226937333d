from __future__ import annotations

import duckdb
import pyarrow as pa
import pytest
from tiny_history import AS_OF, make_catalogue, make_interactions

from ml_assets.learning.spec import ModelSpec
from ml_assets.retrieval.index import RetrievalIndex
from ml_assets.retrieval.publish import publish_index
from ml_assets.settings import Settings
from ml_assets.warehouse import WarehouseError

SPEC = ModelSpec(name="rec", description="d", spine="s", feature_service="f")


def fill(settings: Settings, interactions: pa.Table, catalogue: pa.Table) -> None:
    settings.warehouse.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(settings.warehouse)) as connection:
        connection.register("interactions", interactions)
        connection.register("catalogue", catalogue)
        connection.execute("create or replace table int_sessions as from interactions")
        connection.execute(
            "create or replace table stg_products as select *, event_day::timestamp as changed_at from catalogue"
        )
        connection.execute("create or replace table mart_daily_counts as select distinct event_day from interactions")


def test_the_published_folder_is_named_by_its_content(settings):
    fill(settings, make_interactions(), make_catalogue())
    first, again = publish_index(SPEC, settings), publish_index(SPEC, settings)
    assert first == again
    assert first.as_of == AS_OF
    assert [path.name for path in first.path.parent.iterdir()] == [first.path.name]
    index = RetrievalIndex.load(first.path)
    assert (first.products, first.customers) == (len(index.products), len(index.customers))
    fill(settings, make_interactions(seed=2), make_catalogue())
    other = publish_index(SPEC, settings)
    assert other.path != first.path
    assert first.path.is_dir()


def test_no_warehouse_says_what_to_do(settings):
    with pytest.raises(WarehouseError, match="materialize the dbt models first"):
        publish_index(SPEC, settings)
