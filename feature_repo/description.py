"""What a reader without Feast must know of the feature services: `service.json` beside the online store."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from feature_repo.stores.wide_table import WideTable


class OnlineStoreError(RuntimeError):
    """The online store cannot answer; the message says why and what to do."""


@dataclass(frozen=True)
class ViewColumns:
    """A view, its wide table, and the columns a service needs of it: served ones and inputs of `derived`."""

    view: str
    table: WideTable
    columns: tuple[str, ...]


@dataclass(frozen=True)
class ServiceDescription:
    """A feature service: its views and its features `<view>__<feature>` in output order."""

    name: str
    features: tuple[str, ...]
    views: tuple[ViewColumns, ...]


def description_path(online_store: Path) -> Path:
    """Where the description of the services of an online store lies."""
    return online_store.with_name("service.json")


def to_text(services: list[ServiceDescription]) -> str:
    """The descriptions as JSON: the same bytes for the same services."""
    return json.dumps({service.name: asdict(service) for service in services}, indent=1, sort_keys=True) + "\n"


def read_description(path: Path, service: str) -> ServiceDescription:
    """Read one service's description.

    Raises:
        OnlineStoreError: when there is no file, or the service is not in it.
    """
    if not path.exists():
        raise OnlineStoreError(f"no {path}: apply the feature definitions and materialize the online store first")
    services = json.loads(path.read_text())
    if service not in services:
        raise OnlineStoreError(f"{path} has no feature service {service!r}; it has {', '.join(sorted(services))}")
    found = services[service]
    return ServiceDescription(
        name=found["name"],
        features=tuple(found["features"]),
        views=tuple(_view(each) for each in found["views"]),
    )


def _view(found: dict[str, Any]) -> ViewColumns:
    table, columns = found["table"], found["columns"]
    features = tuple((name, kind) for name, kind in table["features"])
    wide = WideTable(table["table"], tuple(table["keys"]), features, table["ttl_seconds"])
    return ViewColumns(str(found["view"]), wide, tuple(columns))
