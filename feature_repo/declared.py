"""Features as YAML: `features/<source>.yaml` has the entities, views and services of a source beside the shop.

Read without Feast, so that the asset graph and the checks of a model's YAML know them; `declared_views` makes Feast's
objects of them.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from ml_assets.config.keys import KeyForm
from ml_assets.config.settings import PROJECT
from ml_assets.config.yaml_file import Strict, read_yaml, validated

FEATURES = PROJECT / "feature_repo" / "features"
NAME = r"^[a-z][a-z0-9_]*$"
SHOP_SERVICES = {"product_recommender": ("customer_id", "product_id")}
"""Services written in Python, with their keys: they have features computed when asked (`feature_repo.derived`)."""
Kind = Literal["int", "float", "bool"]


class EntitySpec(Strict):
    """Who or what features are about."""

    key: str = Field(pattern=NAME, description="join key: a text column of the views and of the spine")
    form: Literal["text", "number"] = Field(
        default="text", description="number: a whole number, 348.0 is 348; text: as it is written, 007 is not 7"
    )
    missing: str | None = Field(
        default=None, min_length=1, description="word that the views and the spine have for a missing key"
    )
    description: str

    @property
    def read_as(self) -> KeyForm:
        """How the key is written."""
        return KeyForm(number=self.form == "number", missing=self.missing)


class ViewSpec(Strict):
    """A feature view over a table of the warehouse: keys, `event_timestamp` (known from then on) and features."""

    table: str = Field(pattern=NAME, description="dbt model: one row per key and moment at which a value changes")
    entities: tuple[str, ...] = Field(min_length=1)
    description: str
    features: dict[str, Kind] = Field(min_length=1, description="column: int, float or bool")
    ttl_days: float = Field(
        default=0, ge=0, le=36_500, description="older values count as missing; 0: they hold until the next"
    )


class ServiceSpec(Strict):
    """The features of one model, in their order."""

    views: tuple[str, ...] = Field(min_length=1, description="views whose features it has")
    description: str


class FeatureFile(Strict):
    """Everything a `features/<source>.yaml` may say."""

    entities: dict[str, EntitySpec]
    views: dict[str, ViewSpec]
    services: dict[str, ServiceSpec]

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        for name, view in self.views.items():
            _known(f"views.{name}.entities", view.entities, self.entities)
        for name, service in self.services.items():
            _known(f"services.{name}.views", service.views, self.views)
        forms: dict[str, KeyForm] = {}
        for name, entity in self.entities.items():
            if forms.setdefault(entity.key, entity.read_as) != entity.read_as:
                raise ValueError(f"entities.{name}: the key {entity.key} has another form or missing word elsewhere")
        return self

    def keys(self, service: str) -> tuple[str, ...]:
        """The join keys that a request for the service must give, in the order the views name them."""
        views = (self.views[name] for name in self.services[service].views)
        return tuple(dict.fromkeys(self.entities[entity].key for view in views for entity in view.entities))

    def forms(self, service: str) -> dict[str, KeyForm]:
        """How each of these keys is written."""
        known = {entity.key: entity.read_as for entity in self.entities.values()}
        return {key: known[key] for key in self.keys(service)}

    def tables(self, service: str) -> tuple[str, ...]:
        """The dbt models that the service reads."""
        return tuple(dict.fromkeys(self.views[name].table for name in self.services[service].views))


def _known(where: str, names: tuple[str, ...], known: dict[str, EntitySpec] | dict[str, ViewSpec]) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{where}: there is no {name!r}; there are {', '.join(sorted(known))}")


@cache
def declared(folder: Path = FEATURES) -> dict[str, FeatureFile]:
    """The feature files by the name of their source.

    Raises:
        ConfigError: when a key or value is wrong; it names file, line and key.
        ValueError: when two files have a view or a service of one name.
    """
    found = {path.stem: validated(FeatureFile, read_yaml(path), [path]) for path in _files(folder)}
    seen: dict[str, str] = {}
    for source, file in found.items():
        for name in (*file.views, *(f"service {name}" for name in file.services)):
            if name in seen:
                raise ValueError(f"{folder}: {name} is in {seen[name]}.yaml and in {source}.yaml: rename one of them")
            seen[name] = source
    return found


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.yaml"))


def views_beside() -> dict[str, str]:
    """The source of each declared view; every other view is the shop's."""
    return {name: source for source, file in declared().items() for name in file.views}


def file_of(service: str) -> FeatureFile:
    """The file that declares a service.

    Raises:
        KeyError: when there is none; it names the services there are.
    """
    for file in declared().values():
        if service in file.services:
            return file
    raise KeyError(f"no feature service {service!r}; there are: {', '.join(service_names())}")


def service_names() -> tuple[str, ...]:
    """Every feature service of this deployment."""
    return (*SHOP_SERVICES, *(name for file in declared().values() for name in file.services))
