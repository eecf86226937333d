"""The registry holds data: code that somebody puts into it is run by nothing of ours, and goes with the next apply."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import dagster as dg
import dill
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore, Field, OnDemandFeatureView, RequestSource
from feast.infra.registry import sql
from feast.protos.feast.core.InfraObject_pb2 import Infra
from feast.protos.feast.core.OnDemandFeatureView_pb2 import OnDemandFeatureView as OnDemandProto
from feast.protos.feast.core.SavedDataset_pb2 import SavedDataset
from feast.protos.feast.core.StreamFeatureView_pb2 import StreamFeatureView as StreamProto
from feast.protos.feast.core.ValidationProfile_pb2 import ValidationReference
from feast.types import Float64

from feature_repo.historical import training_frame
from feature_repo.online import materialize, open_reader
from feature_repo.parity import check_parity
from feature_repo.registry import ROWS, VERSIONS, RegistryCodeError, code_in, remove_code
from feature_repo.store import FEAST_PROJECT, apply, feature_names, open_store
from ml_assets.config.settings import Settings
from ml_assets.datasets.day_features import latest_features

SERVICE = "product_recommender"
CODE = "from pathlib import Path\n\nPath({marker!r}).touch()\n\n\ndef body(inputs):\n    return inputs\n"
Plant = Callable[[str], None]


class Touch:
    """What a pickle can do: a call of its choice when it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def database(settings: Settings) -> Path:
    return Path(settings.feast_registry.removeprefix("sqlite:///"))


def on_demand(marker: Path, *, source: bool = True):
    """An on-demand view whose source text touches `marker` when Feast reads it; or else its pickle, which is next."""
    view = OnDemandFeatureView(
        name="planted",
        sources=[RequestSource(name="asked", schema=[Field(name="x", dtype=Float64)])],
        schema=[Field(name="y", dtype=Float64)],
        udf=lambda inputs: inputs,
        udf_string="def body(inputs):\n    return inputs\n",
        mode="pandas",
    )
    proto = view.to_proto()
    function = proto.spec.feature_transformation.user_defined_function
    function.body = dill.dumps(Touch(marker))
    function.body_text = CODE.format(marker=str(marker)) if source else "("
    return proto


def a_transformed_view(connection: sqlite3.Connection, marker: Path):
    """The view `category` as registered, with a transformation."""
    (content,) = connection.execute("select feature_view_proto from feature_views where feature_view_name = 'category'")
    proto = sql.FeatureViewProto.FromString(content[0])
    transformation = on_demand(marker).spec.feature_transformation
    transformation.user_defined_function.mode = "python"
    proto.spec.feature_transformation.CopyFrom(transformation)
    return proto


def a_stream_view(connection: sqlite3.Connection, marker: Path):
    view = a_transformed_view(connection, marker).spec
    proto = StreamProto()
    proto.spec.name = "planted"
    proto.spec.batch_source.CopyFrom(view.batch_source)
    proto.spec.user_defined_function.body = dill.dumps(Touch(marker))
    proto.spec.feature_transformation.CopyFrom(view.feature_transformation)
    return proto


def a_profile(marker: Path):
    proto = ValidationReference(name="planted", project=FEAST_PROJECT)
    proto.ge_profiler.profiler.body = dill.dumps(Touch(marker))
    return proto


def insert(connection: sqlite3.Connection, table: str, **values: object) -> None:
    row = {"project_id": FEAST_PROJECT, "last_updated_timestamp": 1} | values
    marks = ", ".join("?" * len(row))
    connection.execute(f"insert or replace into {table} ({', '.join(row)}) values ({marks})", list(row.values()))


def plant(settings: Settings, kind: str, marker: Path) -> None:
    """Put code that touches `marker` when it is run into the registry, by SQL."""
    with sqlite3.connect(database(settings)) as connection:
        if kind in ("on-demand source", "on-demand pickle"):
            proto = on_demand(marker, source=kind == "on-demand source").SerializeToString()
            insert(connection, "on_demand_feature_views", feature_view_name="planted", feature_view_proto=proto)
        if kind == "transformation":
            proto = a_transformed_view(connection, marker).SerializeToString()
            connection.execute(
                "update feature_views set feature_view_proto = ? where feature_view_name = 'category'", [proto]
            )
        if kind == "stream view":
            proto = a_stream_view(connection, marker).SerializeToString()
            insert(connection, "stream_feature_views", feature_view_name="planted", feature_view_proto=proto)
        if kind == "profiler":
            proto = a_profile(marker).SerializeToString()
            insert(
                connection,
                "validation_references",
                validation_reference_name="planted",
                validation_reference_proto=proto,
            )


READERS: dict[str, Callable[[FeatureStore], object]] = {
    "on-demand source": lambda store: store.list_on_demand_feature_views(),
    "on-demand pickle": lambda store: store.list_on_demand_feature_views(),
    "transformation": lambda store: store.list_feature_views(),
    "stream view": lambda store: store.list_stream_feature_views(),
    "profiler": lambda store: store.registry.list_validation_references(FEAST_PROJECT),
}
REMOVED = {
    "on-demand source": "on_demand_feature_views planted",
    "on-demand pickle": "on_demand_feature_views planted",
    "transformation": "feature_views category",
    "stream view": "stream_feature_views planted",
    "profiler": "validation_references planted",
}


@pytest.fixture
def filled(small_store, as_of) -> FeatureStore:
    """An applied, materialized store of its own."""
    store = small_store()
    materialize(store, as_of)
    return store


@pytest.mark.parametrize("kind", READERS)
def test_feast_alone_runs_what_is_planted_and_we_do_not(filled, settings, tmp_path, kind):
    marker = tmp_path / "ran"
    plant(settings, kind, marker)
    with pytest.raises(RegistryCodeError, match="Apply the definitions"):
        READERS[kind](filled)  # opened before it was planted
    with pytest.raises(RegistryCodeError, match="Apply the definitions"):
        READERS[kind](open_store(settings))
    assert not marker.exists()
    if kind == "profiler":
        return  # Feast itself asks for great_expectations first, which is not here
    try:
        READERS[kind](FeatureStore(config=open_store(settings).config))
    except Exception as error:  # what is made of it matters not: it ran
        print(error)
    assert marker.exists(), "this plants nothing that Feast runs: the test proves nothing"


@pytest.mark.parametrize("kind", READERS)
def test_apply_deletes_code_unread_and_then_everything_works(filled, settings, as_of, tmp_path, kind):
    from ml_assets.defs.features.assets import definitions

    marker = tmp_path / "ran"
    before = feature_names(filled, SERVICE)
    plant(settings, kind, marker)
    applied = dg.materialize([definitions])
    (event,) = applied.asset_materializations_for_node("feast__definitions")
    removed = event.metadata["objects"].value["removed"]
    assert removed == [REMOVED[kind]]
    use_everything(open_store(settings), settings, as_of, tmp_path)
    assert feature_names(open_store(settings), SERVICE) == before
    assert apply(open_store(settings)) == {"created": [], "changed": [], "removed": []}
    assert not marker.exists()


@pytest.mark.parametrize("kind", READERS)
def test_no_command_runs_it(filled, settings, as_of, tmp_path, kind):
    marker = tmp_path / "ran"
    plant(settings, kind, marker)
    for command in COMMANDS:
        with pytest.raises(RegistryCodeError):
            command(open_store(settings), settings, as_of, tmp_path)
    served(filled, settings, as_of, tmp_path)  # reads no registry
    assert not marker.exists()


def train(store, settings, as_of, folder: Path) -> None:
    moment = as_of - timedelta(days=1)
    rows = {"customer_id": ["c1"], "product_id": ["p1"], "category_id": ["g1"], "now": [1.7e9]}
    pq.write_table(pa.table(rows | {"event_timestamp": [moment]}), folder / "rows.parquet")
    training_frame(store, SERVICE, folder / "rows.parquet", folder / "out.parquet")


def fill_online(store, settings, as_of, folder: Path) -> None:
    materialize(store, as_of, full=True)


def compare(store, settings, as_of, folder: Path) -> None:
    assert check_parity(store, as_of, sample=20).ok


def predict(store, settings, as_of, folder: Path) -> None:
    latest_features(store, SERVICE, as_of, "customer_id", folder / "latest")


def served(store, settings, as_of, folder: Path) -> None:
    read = open_reader(settings.online_store).read("c1", ["p1", "p2"], ["g1", "g2"], 1.7e9)
    assert read.shape == (2, 104)


COMMANDS = (train, fill_online, compare, predict)


def use_everything(store, settings, as_of, folder: Path) -> None:
    for command in (*COMMANDS, served):
        command(store, settings, as_of, folder)


def test_after_apply_no_row_holds_a_function(filled, settings):
    seen = 0
    with sqlite3.connect(database(settings)) as connection:
        connection.row_factory = sqlite3.Row
        for table in (*ROWS, sql.feature_view_version_history):
            for row in connection.execute(f"select * from {table.name}"):
                message = ROWS[table] if table in ROWS else VERSIONS[row["feature_view_type"]]
                content = next(row[name] for name in row.keys() if name.endswith("_proto"))  # noqa: SIM118
                assert code_in(message.FromString(content)) is None
                assert b"def " not in content
                assert b"dill" not in content
                seen += 1
        assert connection.execute("select count(*) from on_demand_feature_views").fetchone()[0] == 0
    assert seen > 15
    assert not filled.list_on_demand_feature_views()


def test_a_view_with_a_function_is_not_registered(filled, settings):
    view = OnDemandFeatureView.from_proto(on_demand(settings.home / "never"), skip_udf=True)
    with pytest.raises(RegistryCodeError, match=r"planted holds a function.*derived\.py"):
        filled.registry.apply_feature_view(view, FEAST_PROJECT)
    assert not filled.list_on_demand_feature_views()


def test_a_view_s_history_and_other_projects_are_left_unread(filled, settings, tmp_path):
    marker = tmp_path / "ran"
    proto = on_demand(marker).SerializeToString()
    with sqlite3.connect(database(settings)) as connection:
        theirs = {"feature_view_name": "theirs", "project_id": "another"}
        insert(connection, "on_demand_feature_views", feature_view_proto=proto, **theirs)
        insert(connection, "projects", project_id="another", project_name="another", project_proto=b"")
        connection.execute(
            "insert into feature_view_version_history (feature_view_name, project_id, version_number, "
            "feature_view_type, feature_view_proto, created_timestamp, version_id) "
            "values (?, ?, 0, 'on_demand_feature_view', ?, 1, 'v')",
            ["planted", FEAST_PROJECT, proto],
        )
    store = open_store(settings)
    with pytest.raises(RegistryCodeError):
        store.registry.get_feature_view_by_version("planted", FEAST_PROJECT, 0)
    assert apply(store)["removed"] == ["feature_view_version_history planted"]
    assert not marker.exists()
    with sqlite3.connect(database(settings)) as connection:
        left = connection.execute("select feature_view_name from on_demand_feature_views").fetchall()
    assert left == [("theirs",)]


def test_classes_by_name_are_code_too():
    source = sql.FeatureViewProto()
    source.spec.batch_source.type = 2 + 5  # not looked at unless it is a custom source
    assert code_in(source) is None
    source.spec.batch_source.type = source.spec.batch_source.CUSTOM_SOURCE
    source.spec.batch_source.data_source_class_type = "antigravity.Source"
    assert "antigravity.Source" in str(code_in(source))
    saved = SavedDataset()
    saved.spec.storage.custom_storage.configuration = b"{}"
    assert code_in(saved)
    infra = Infra()
    infra.infra_objects.add(infra_object_class_type="antigravity.Table")
    assert "antigravity.Table" in str(code_in(infra))


def test_every_message_of_the_registry_that_can_hold_a_pickle_is_known():
    """Fields of bytes below the registry's messages: those that Feast unpickles, and those that are JSON or a plan."""
    found: dict[str, set[str]] = {}
    waiting, seen = [message.DESCRIPTOR for message in (*ROWS.values(), *VERSIONS.values(), OnDemandProto)], set()
    while waiting:
        kind = waiting.pop()
        if kind.full_name in seen:
            continue
        seen.add(kind.full_name)
        waiting += [field.message_type for field in kind.fields if field.message_type]
        fields = {field.name for field in kind.fields if field.type == field.TYPE_BYTES}
        if fields:
            found[kind.full_name.removeprefix("feast.core.")] = fields
    pickles = {
        "GEValidationProfiler.UserDefinedProfiler": {"body"},
        "SubstraitTransformationV2": {"ibis_function", "substrait_plan"},
        "UserDefinedFunction": {"body"},
        "UserDefinedFunctionV2": {"body"},
    }
    data = {
        "DataSource.CustomSourceOptions": {"configuration"},
        "GEValidationProfile": {"expectation_suite"},
        "InfraObject.CustomInfra": {"field"},
    }
    assert {name: fields for name, fields in found.items() if name.split(".")[0] != "types"} == pickles | data


def test_a_registry_that_is_not_there_holds_nothing(settings):
    settings.feast_home.mkdir(parents=True)
    assert remove_code(settings.feast_registry, FEAST_PROJECT) == []
