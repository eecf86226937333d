"""Feast's objects for what `features/*.yaml` declare."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from feast import Entity, FeatureService, FeatureView, Field, ValueType
from feast.types import Bool, Float64, Int64, String

from feature_repo.declared import FeatureFile, declared
from feature_repo.stores.duckdb_source import DuckDBSource

_TYPES = {"int": Int64, "float": Float64, "bool": Bool}


Objects = tuple[list[Entity], list[FeatureView], list[FeatureService]]


def declared_objects() -> Objects:
    """Entities, views and services of all feature files."""
    entities: list[Entity] = []
    views: list[FeatureView] = []
    services: list[FeatureService] = []
    for file in declared().values():
        own_entities, own_views, own_services = objects_of(file)
        entities += own_entities
        views += own_views
        services += own_services
    return entities, views, services


def objects_of(file: FeatureFile) -> Objects:
    """Entities, views and services of one feature file."""
    known = {
        name: Entity(name=name, join_keys=[spec.key], value_type=ValueType.STRING, description=spec.description)
        for name, spec in file.entities.items()
    }
    made = {name: _view(name, file, known) for name in file.views}
    services = [
        FeatureService(name=name, features=_projections(made, spec.views), description=spec.description)
        for name, spec in file.services.items()
    ]
    return list(known.values()), list(made.values()), services


def _view(name: str, file: FeatureFile, entities: dict[str, Entity]) -> FeatureView:
    spec = file.views[name]
    keys = [Field(name=file.entities[entity].key, dtype=String) for entity in spec.entities]
    return FeatureView(
        name=name,
        entities=[entities[entity] for entity in spec.entities],
        ttl=timedelta(days=spec.ttl_days),
        schema=[*keys, *(Field(name=feature, dtype=_TYPES[kind]) for feature, kind in spec.features.items())],
        source=DuckDBSource(name=spec.table, table=spec.table, description=f"dbt model {spec.table}"),
        online=True,
        description=spec.description,
    )


def _projections(made: dict[str, FeatureView], names: tuple[str, ...]) -> Any:
    return [made[name] for name in names]
