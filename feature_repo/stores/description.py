"""What a reader without Feast must know of the feature services: `service.json` beside the online store."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from feature_repo.stores.packed import WideTable


class OnlineStoreError(RuntimeError):
    """The online store cannot answer; the message says why and what to do."""


@dataclass(frozen=True)
class ViewColumns:
    """A view, its wide table, and the columns a service needs of it: served ones and inputs of derived ones."""

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
    """Where the description of the services of an online store in a file lies."""
    return online_store.with_name("service.json")


def to_text(services: list[ServiceDescription]) -> str:
    """The descriptions as JSON: the same bytes for the same services."""
    return json.dumps({service.name: asdict(service) for service in services}, indent=1, sort_keys=True) + "\n"


def parse_description(text: str | bytes | None, service: str, where: str) -> ServiceDescription:
    """One service's description from the text found at `where` (None: nothing is there).

    Raises:
        OnlineStoreError: when there is none, it is no description, or the service is not in it.
    """
    if text is None:
        raise OnlineStoreError(f"no {where}: apply the feature definitions and materialize the online store first")
    try:
        services = json.loads(text)
        known = ", ".join(sorted(services))
    except (ValueError, TypeError) as error:
        raise OnlineStoreError(f"{where} is no description ({error}): materialize the online store") from error
    if service not in services:
        raise OnlineStoreError(f"{where} has no feature service {service!r}; it has {known}")
    found = services[service]
    return ServiceDescription(
        name=found["name"],
        features=tuple(found["features"]),
        views=tuple(_view(each) for each in found["views"]),
    )


def read_description(path: Path, service: str) -> ServiceDescription:
    """Read one service's description from a file.

    Raises:
        OnlineStoreError: when there is no file, or the service is not in it.
    """
    return parse_description(path.read_text() if path.exists() else None, service, str(path))


def _view(found: dict[str, Any]) -> ViewColumns:
    return ViewColumns(str(found["view"]), WideTable.from_dict(found["table"]), tuple(found["columns"]))
