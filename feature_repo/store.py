"""The feature store of a deployment: opened from `Settings`, its definitions applied."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from feast import FeatureStore, RepoConfig

from feature_repo import services
from feature_repo.derived import derived_of, stored_for
from feature_repo.materialization import online_store
from feature_repo.registry import DataRegistry, remove_code
from feature_repo.stores.asof import AsofOfflineStoreConfig
from feature_repo.stores.description import ServiceDescription, ViewColumns, to_text
from feature_repo.stores.wide import table_of
from feature_repo.views import VIEWS
from ml_assets.config.settings import PROJECT, Settings

FEAST_PROJECT = "ml_assets"


def _feature_names(service: Any) -> list[str]:
    projections = service.feature_view_projections
    stored = [f"{each.name_to_use()}__{feature.name}" for each in projections for feature in each.features]
    return [*stored, *derived_of(service.name)]


class _Store(FeatureStore):
    """Feast's store on a registry that holds no code."""

    def _create_registry(self) -> DataRegistry:
        return DataRegistry(self.config.registry, self.config.project)


ENTITIES_BESIDE, VIEWS_BESIDE, SERVICES_BESIDE = services.BESIDE
SERVICE_FEATURES: dict[str, list[str]] = {
    service.name: _feature_names(service) for service in (*services.SERVICES, *SERVICES_BESIDE)
}
"""Features `<view>__<feature>` of each service as defined here, in order."""


def open_store(settings: Settings) -> FeatureStore:
    """Feast's store over this deployment's warehouse, SQL registry and online store; makes the registry's folder.

    Code that somebody put into the registry is not run: what reads it raises `RegistryCodeError`, until `apply`.
    """
    settings.export()
    settings.feast_home.mkdir(parents=True, exist_ok=True)
    return _Store(
        config=RepoConfig(
            project=FEAST_PROJECT,
            provider="local",
            registry={"registry_type": "sql", "path": settings.feast_registry, "cache_ttl_seconds": 60},
            offline_store=AsofOfflineStoreConfig(
                database=str(settings.warehouse), threads=settings.threads, memory=settings.memory
            ).model_dump(),
            online_store={"type": settings.online_store_type, "path": str(settings.online_store)},
            entity_key_serialization_version=3,
            repo_path=PROJECT / "feature_repo",
        )
    )


def apply(store: FeatureStore) -> dict[str, list[str]]:
    """Bring the registry to the definitions here; returns the names `created`, `changed`, `removed`.

    Only what differs is written; applying twice changes nothing. Code in the registry is deleted first, by SQL, before
    Feast makes objects of its rows.
    """
    purged = remove_code(store.config.registry.path, store.config.project)
    wanted = _definitions()
    registered = _registered(store)
    created = [key for key in wanted if key not in registered]
    changed = [key for key in wanted if key in registered and registered[key] != wanted[key]]
    removed = [key for key in registered if key not in wanted]
    if created or changed or removed:
        # A service is resolved against its views, so these go along whenever anything changed.
        store.apply(list(wanted.values()), objects_to_delete=[registered[key] for key in removed], partial=False)
    if online_store(store).describe(store.config) is None:
        write_description(store)
    return {"created": _named(created), "changed": _named(changed), "removed": sorted([*purged, *_named(removed)])}


def feature_names(store: FeatureStore, service: str) -> list[str]:
    """Features `<view>__<feature>` of a registered service, in the order models are trained and served in.

    Raises:
        feast.errors.FeatureServiceNotFoundException: when no such service was applied.
    """
    return _feature_names(store.get_feature_service(service))


def references(names: Iterable[str]) -> list[str]:
    """Feast's names `<view>:<feature>` of stored features `<view>__<feature>`."""
    return [name.replace("__", ":", 1) for name in names]


def join_keys(store: FeatureStore, service: str) -> tuple[str, ...]:
    """The join keys of a registered service's views, in the order the views name them.

    Raises:
        feast.errors.FeatureServiceNotFoundException: when no such service was applied.
    """
    return tuple(dict.fromkeys(key for keys in keys_by_view(store, service).values() for key in keys))


def keys_by_view(store: FeatureStore, service: str) -> dict[str, tuple[str, ...]]:
    """The join keys of each of a registered service's views, by the view's name.

    Raises:
        feast.errors.FeatureServiceNotFoundException: when no such service was applied.
    """
    asked = {each.name for each in store.get_feature_service(service).feature_view_projections}
    views = [view for view in store.list_feature_views() if view.name in asked]
    return {str(view.name): tuple(view.join_keys) for view in sorted(views, key=lambda view: str(view.name))}


def write_description(store: FeatureStore) -> None:
    """Write the services' description beside the online store: what readers read instead of the registry.

    Raises:
        ValueError: when a service has a feature that is not a number.
    """
    described = [_describe(store, service.name) for service in store.list_feature_services()]
    described.sort(key=lambda service: service.name)
    online_store(store).describe(store.config, to_text(described))


def _describe(store: FeatureStore, service: str) -> ServiceDescription:
    names = feature_names(store, service)
    needed, views = set(stored_for(names)), []
    for view in store.list_feature_views():
        table = table_of(store.config, view)
        kinds = {name: kind for name, kind in table.features if f"{view.name}__{name}" in needed}
        text = [name for name, kind in kinds.items() if kind in ("string", "bytes")]
        if text:
            raise ValueError(f"service {service}: {view.name}:{text[0]} is not a number; models read numbers only")
        if kinds:
            views.append(ViewColumns(view.name, table, tuple(kinds)))
    views.sort(key=lambda each: each.view)
    return ServiceDescription(service, tuple(names), tuple(views))


def _definitions() -> dict[tuple[str, str], Any]:
    objects: list[Any] = [
        *services.ENTITIES,
        *VIEWS,
        *services.SERVICES,
        *ENTITIES_BESIDE,
        *VIEWS_BESIDE,
        *SERVICES_BESIDE,
    ]
    sources = [view.batch_source for view in (*VIEWS, *VIEWS_BESIDE)]
    return {_key(each): each for each in [*sources, *objects]}


def _registered(store: FeatureStore) -> dict[tuple[str, str], Any]:
    objects: list[Any] = [
        *store.list_data_sources(),
        *store.list_entities(),
        *store.list_feature_views(),
        *store.list_feature_services(),
    ]
    return {_key(each): each for each in objects if each.name != "__dummy"}


def _key(definition: Any) -> tuple[str, str]:
    return type(definition).__name__, definition.name


def _named(keys: list[tuple[str, str]]) -> list[str]:
    return sorted(f"{kind} {name}" for kind, name in keys)
