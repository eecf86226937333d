"""The definitions: what is registered, what a service holds, what readers are told."""

from __future__ import annotations

import pytest
from feast import Entity, ValueType
from feast.repo_config import load_repo_config
from feast.repo_operations import parse_repo

from feature_repo import services, transforms
from feature_repo.declared import service_names, views_beside
from feature_repo.store import SERVICE_FEATURES, apply, feature_names, open_store
from feature_repo.stores.description import description_path, read_description
from feature_repo.stores.duckdb_source import DuckDBSource
from feature_repo.stores.session import OfflineStoreError
from ml_assets.config.settings import PROJECT

SERVICE = "product_recommender"


def test_applying_again_changes_nothing_and_a_dropped_definition_goes(small_store, settings):
    store = small_store()
    assert apply(store) == {"created": [], "changed": [], "removed": []}
    store.apply([Entity(name="odd", join_keys=["odd_id"], value_type=ValueType.STRING)])
    assert apply(open_store(settings)) == {"created": [], "changed": [], "removed": ["Entity odd"]}
    assert apply(open_store(settings)) == {"created": [], "changed": [], "removed": []}


def test_service_holds_numbers_and_every_derived_feature_in_one_order(store):
    names = feature_names(store, SERVICE)
    assert names == SERVICE_FEATURES[SERVICE]
    assert len(set(names)) == len(names) == 104
    assert [name for name in names if name.startswith("derived__")] == [f"derived__{n}" for n in transforms.OUTPUTS]
    assert not [name for name in names if name.endswith(("_at", "country", "category_id", "_hl7"))]


def test_description_tells_readers_the_service_s_columns(store, warehouse):
    description = read_description(description_path(warehouse.online_store), SERVICE)
    assert list(description.features) == feature_names(store, SERVICE)
    read = {f"{view.view}__{column}" for view in description.views for column in view.columns}
    raw = {name for name in description.features if not name.startswith("derived__")}
    assert read == raw | set(transforms.INPUTS)


def test_every_view_reads_columns_its_table_has(store, warehouse):
    shops = [view for view in store.list_feature_views() if view.name not in views_beside()]
    assert len(shops) == len(services.VIEWS)
    for view in shops:
        there = {name for name, _ in view.batch_source.get_table_column_names_and_types(store.config)}
        assert {*view.join_keys, *(field.name for field in view.features), "event_timestamp"} <= there
        view.batch_source.validate(store.config)


def test_feast_s_command_line_finds_the_same_definitions(monkeypatch, warehouse):
    warehouse.export()
    repo = PROJECT / "feature_repo"
    monkeypatch.chdir(repo)
    monkeypatch.syspath_prepend(str(repo))
    found = parse_repo(repo)
    assert {view.name for view in found.feature_views} == {view.name for view in services.VIEWS} | set(views_beside())
    assert {entity.name for entity in found.entities} >= {"customer", "product", "category"}
    assert {service.name for service in found.feature_services} == set(service_names()) >= {SERVICE}
    assert found.on_demand_feature_views == []
    config, ours = load_repo_config(repo, repo / "feature_store.yaml"), open_store(warehouse).config
    assert config.project == ours.project
    assert config.offline_store == ours.offline_store
    assert config.online_store == ours.online_store
    assert config.registry.path == ours.registry.path


def test_a_source_is_a_table_or_a_named_query():
    with pytest.raises(ValueError, match="either table= or query="):
        DuckDBSource(table="a", query="select 1")
    with pytest.raises(ValueError, match="needs a name"):
        DuckDBSource(query="select 1")
    for query in (
        "select 1) as a; copy (select 1) to 'f'; select * from (select 1",
        "select 1; select 2",
        "drop table a",
    ):
        with pytest.raises(ValueError, match="not one select statement"):
            DuckDBSource(name="q", query=query)
    with pytest.raises(ValueError, match="not the name of a table"):
        DuckDBSource(table="a; copy (select 1) to 'f'")
    source = DuckDBSource(name="q", query="select 1 as x", field_mapping={"x": "y"}, created_timestamp_column="made")
    assert DuckDBSource.from_proto(source.to_proto()) == source


def test_no_warehouse_is_said_so(settings):
    store = open_store(settings)
    with pytest.raises(OfflineStoreError, match="no warehouse at"):
        services.customer.batch_source.validate(store.config)
