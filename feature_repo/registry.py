"""Feast's SQL registry, for data only: no function is written to it, and none that lies in it is run.

Feast keeps a function (of an on-demand or stream view, of a transformation, of a data profiler) as a pickle and as
source text, and runs what it finds when it makes an object of the row: whoever can write to the registry runs code in
each process that reads it. Here every row is looked at as the protobuf message it is, before an object is made of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from feast.infra.infra_object import Infra
from feast.infra.registry import sql
from feast.protos.feast.core import (
    DataSource_pb2,
    Entity_pb2,
    FeatureService_pb2,
    FeatureView_pb2,
    InfraObject_pb2,
    LabelView_pb2,
    OnDemandFeatureView_pb2,
    Permission_pb2,
    SavedDataset_pb2,
    StreamFeatureView_pb2,
    ValidationProfile_pb2,
)
from google.protobuf.message import DecodeError
from sqlalchemy import Connection, create_engine, delete, inspect, select

from feature_repo.stores import duckdb_source

FUNCTIONS = frozenset(
    f"feast.core.{name}"
    for name in (
        "UserDefinedFunction",
        "UserDefinedFunctionV2",
        "SubstraitTransformationV2",
        "GEValidationProfiler.UserDefinedProfiler",
    )
)
"""Messages that hold a pickled function or its source text."""
ROWS: Mapping[Any, Any] = {
    sql.entities: Entity_pb2.Entity,
    sql.data_sources: DataSource_pb2.DataSource,
    sql.feature_views: FeatureView_pb2.FeatureView,
    sql.stream_feature_views: StreamFeatureView_pb2.StreamFeatureView,
    sql.on_demand_feature_views: OnDemandFeatureView_pb2.OnDemandFeatureView,
    sql.label_views: LabelView_pb2.LabelView,
    sql.feature_services: FeatureService_pb2.FeatureService,
    sql.saved_datasets: SavedDataset_pb2.SavedDataset,
    sql.validation_references: ValidationProfile_pb2.ValidationReference,
    sql.managed_infra: InfraObject_pb2.Infra,
    sql.permissions: Permission_pb2.Permission,
}
"""The registry's tables and the message in each row of them."""
HISTORY: Any = sql.feature_view_version_history
"""The earlier versions of views."""
VERSIONS: Mapping[str, Any] = {
    "feature_view": FeatureView_pb2.FeatureView,
    "stream_feature_view": StreamFeatureView_pb2.StreamFeatureView,
    "on_demand_feature_view": OnDemandFeatureView_pb2.OnDemandFeatureView,
    "label_view": LabelView_pb2.LabelView,
}
"""The message in a row of `HISTORY`, by the row's type."""


class RegistryCodeError(RuntimeError):
    """A row of the registry holds code; nothing of it was run."""


def code_in(message: Any) -> str | None:
    """What of a registry's message would make Feast run or import code; None when it is data through and through."""
    kind = message.DESCRIPTOR.full_name
    if kind in FUNCTIONS:
        return "a function"
    if kind == "feast.core.DataSource" and message.type == DataSource_pb2.DataSource.CUSTOM_SOURCE:
        named = message.data_source_class_type
        if named != duckdb_source.CLASS:
            return f"a data source of the class {named!r}"
    if kind == "feast.core.InfraObject":
        return f"infrastructure of the class {message.infra_object_class_type!r}"
    if kind == "feast.core.SavedDatasetStorage" and message.HasField("custom_storage"):
        return "a storage of a class by name"
    parts = (part for field, value in message.ListFields() for part in _messages(field, value))
    return next(filter(None, map(code_in, parts)), None)


def _messages(field: Any, value: Any) -> list[Any]:
    """The messages in a field's value."""
    if field.message_type is None:
        return []
    if isinstance(value, Mapping):
        return [each for each in value.values() if hasattr(each, "DESCRIPTOR")]
    return [value] if hasattr(value, "DESCRIPTOR") else list(value)


def refuse_code(message: Any, where: str) -> None:
    """Let data pass.

    Raises:
        RegistryCodeError: when there is code in the message.
    """
    found = code_in(message)
    if found:
        raise RegistryCodeError(
            f"{where} holds {found}. Nothing of it was run. Apply the definitions (asset feast/definitions), which "
            "deletes it; features to compute belong into feature_repo/derived.py."
        )


def remove_code(address: str, project: str) -> list[str]:
    """Delete a project's rows that hold code, by SQL; returns their names.

    Nothing of them is run: they are read as protobuf messages only. What does not read as one goes too, and on-demand
    and stream views in any case.

    Args:
        address: SQLAlchemy's address of the registry; a registry that is not there yet holds nothing.
        project: only its rows are looked at.
    """
    engine, removed = create_engine(address), set()
    there = set(inspect(engine).get_table_names())
    with engine.begin() as connection:
        for table in (table for table in (*ROWS, HISTORY) if table.name in there):
            found = connection.execute(select(table).where(table.c.project_id == project)).mappings().all()
            for row in map(dict, found):
                if _is_code(table, row):
                    removed.add(_delete(connection, table, row))
    engine.dispose()
    return sorted(removed)


def _delete(connection: Connection, table: Any, row: dict[str, Any]) -> str:
    """Delete a row, of a view also its earlier versions, which Feast numbers anew; returns its name."""
    key = [column == row[column.name] for column in table.primary_key.columns]
    connection.execute(delete(table).where(*key))
    name = next(value for column, value in row.items() if column.endswith("_name"))
    if table is not HISTORY and "feature_view_name" in row:
        of_view = HISTORY.c.feature_view_name == name, HISTORY.c.project_id == row["project_id"]
        connection.execute(delete(HISTORY).where(*of_view))
    return f"{table.name} {name}"


def _is_code(table: Any, row: dict[str, Any]) -> bool:
    message = ROWS[table] if table in ROWS else VERSIONS.get(row["feature_view_type"])
    if message is None or message in {
        OnDemandFeatureView_pb2.OnDemandFeatureView,
        StreamFeatureView_pb2.StreamFeatureView,
    }:
        return True
    content = next(value for column, value in row.items() if column.endswith("_proto"))
    try:
        return code_in(message.FromString(bytes(content))) is not None
    except DecodeError:
        return True


class _Checked:
    """A message's class, as far as the registry uses it: what it parses is let through only as data."""

    def __init__(self, message: Any, where: str) -> None:
        self._message, self._where = message, where

    def FromString(self, content: bytes) -> Any:  # noqa: N802 - protobuf's name
        parsed = self._message.FromString(content)
        refuse_code(parsed, self._where)
        return parsed


class DataRegistry(sql.SqlRegistry):
    """A Feast SQL registry of one project; of other projects in the same database it sees nothing.

    Every way from a row to an object goes through one of the methods here, and so does every way back.
    """

    def __init__(self, config: Any, project: str) -> None:
        self._project = project
        super().__init__(config, project, None)

    def _list_objects(self, table: Any, project: str, proto_class: Any, *args: Any, **options: Any) -> Any:
        if project != self._project:
            return []
        return super()._list_objects(table, project, self._checked(table.name, proto_class), *args, **options)

    def _get_object(self, table: Any, name: str, project: str, proto_class: Any, *args: Any, **options: Any) -> Any:
        checked = self._checked(f"{table.name} {name}", proto_class)
        return super()._get_object(table, name, project, checked, *args, **options)

    def _proto_class_for_type(self, fv_type: str) -> Any:
        proto_class, python_class = super()._proto_class_for_type(fv_type)
        return self._checked(f"an earlier {fv_type}", proto_class), python_class

    @staticmethod
    def deserialize_registry_values(serialized_proto: bytes, feast_obj_type: Any) -> Any:
        """The message that is to be replaced by an object of this type."""
        parsed = sql.SqlRegistry.deserialize_registry_values(serialized_proto, feast_obj_type)
        if parsed is not None:
            refuse_code(parsed, f"the feature registry: a {feast_obj_type.__name__}")
        return parsed

    def _get_infra(self, project: str) -> Infra:
        return Infra()  # the stores of this project describe none

    def apply_feature_view(self, feature_view: Any, *args: Any, **options: Any) -> Any:
        """Write a view's definition.

        Raises:
            RegistryCodeError: when it has a function.
        """
        refuse_code(feature_view.to_proto(), f"feature view {feature_view.name}")
        return super().apply_feature_view(feature_view, *args, **options)

    def _apply_object(self, table: Any, project: str, id_field_name: str, obj: Any, *args: Any, **options: Any) -> Any:
        refuse_code(obj.to_proto(), f"{type(obj).__name__} {getattr(obj, 'name', '')}")
        return super()._apply_object(table, project, id_field_name, obj, *args, **options)

    def _checked(self, what: str, message: Any) -> _Checked:
        return _Checked(message, f"{self._place}: {what}")

    @property
    def _place(self) -> str:
        return f"the feature registry {self.write_engine.url.render_as_string(hide_password=True)}"
