from __future__ import annotations

import duckdb
import pyarrow as pa
import pytest
from tiny_history import AS_OF, make_catalogue, make_interactions

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.retrieval.index import RetrievalIndex
from ml_assets.retrieval.publish import publish_index, verified_index
from ml_assets.retrieval.store import IndexFilesError
from ml_assets.storage.warehouse import WarehouseError

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


@pytest.mark.parametrize("altered", ["index.json", "arrays.npz"])
def test_an_index_that_was_altered_after_it_was_published_is_found_out(settings, altered):
    fill(settings, make_interactions(), make_catalogue())
    folder = publish_index(SPEC, settings).path
    assert verified_index(folder) == folder
    content = bytearray((folder / altered).read_bytes())
    content[-3] = ord("7") if content[-3] != ord("7") else ord("8")
    (folder / altered).write_bytes(content)
    with pytest.raises(IndexFilesError, match=altered):
        verified_index(folder)


def test_no_warehouse_says_what_to_do(settings):
    with pytest.raises(WarehouseError, match="materialize the dbt models first"):
        publish_index(SPEC, settings)
