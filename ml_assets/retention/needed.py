"""What of a model may not go, however old: what serves, what a rollback or a release may need, what is newest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ml_assets.config.settings import Settings
from ml_assets.datasets.training_set import MANIFEST
from ml_assets.journals import damages
from ml_assets.registry.history import deployments
from ml_assets.registry.pointer import current_pointer, pointer_path
from ml_assets.registry.promote import CHALLENGER, champion_version
from ml_assets.registry.release import read_release, release_path
from ml_assets.registry.versions import DESCRIPTION, versions_home


class UnclearError(RuntimeError):
    """What a model needs cannot be told for sure: nothing of it is removed."""


@dataclass(frozen=True)
class Needed:
    """Folders that stay, by name, and the MLflow runs of the versions among them."""

    folders: frozenset[str]
    runs: frozenset[str]


def needed(settings: Settings, name: str) -> Needed:
    """What a model needs now.

    Raises:
        UnclearError: when its pointer, release or one of its journals is damaged.
    """
    wrong = damages(settings, name)
    path, home = pointer_path(settings, name), settings.model_home(name)
    pointer, release = current_pointer(path), None
    if path.exists() and pointer is None:
        wrong.append(f"{path} does not read")
    try:
        release = read_release(release_path(settings, name))
    except ValueError as error:
        wrong.append(f"{release_path(settings, name)} does not read: {str(error).splitlines()[0]}")
    if wrong:
        raise UnclearError(wrong[0])
    served = [each.pointer for each in deployments(path)] + ([pointer] if pointer else [])
    versions = {each.model_version for each in served} | {*_registered(settings, name), *_newest(home / "versions")}
    if release is not None:
        versions |= {release.champion_version, release.model_version}
    handed = {name for name in _handed_on(settings, name) if name}
    described = [_described(versions_home(settings, name) / version) for version in versions | handed]
    folders = versions | handed | {*_newest(home / "training_sets", MANIFEST), *_newest(home / "indexes")}
    folders |= {each["training_set"] for each in described if each}
    if pointer is not None and pointer.index_path is not None:
        folders.add(pointer.index_path.name)
    return Needed(frozenset(folders), frozenset(each["run_id"] for each in described if each))


def _registered(settings: Settings, name: str) -> Iterator[str]:
    """Champion and challenger of the registry; none where nothing was ever tracked."""
    from mlflow.exceptions import MlflowException

    from ml_assets.registry.mlflow_client import nothing_tracked, open_mlflow

    if nothing_tracked(settings):
        return
    client = open_mlflow(settings)
    if (champion := champion_version(client, name)) is not None:
        yield champion
    try:
        yield str(client.get_model_version_by_alias(name, CHALLENGER).tags["version"])
    except MlflowException:
        return


def _newest(home: Path, file: str = ".") -> list[str]:
    """The folder that was published last."""
    found = [path for path in home.glob("*") if not path.name.startswith(".") and (path / file).exists()]
    return [path.name for path in sorted(found, key=lambda path: (path / file).stat().st_mtime)[-1:]]


def _described(version: Path) -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads((version / DESCRIPTION).read_text())
    except (OSError, ValueError):
        return {}
    return found


def _handed_on(settings: Settings, name: str) -> Iterator[str]:
    """Last parts of the addresses that assets hand to each other, the bento a server runs from, the newest bento."""
    latest = settings.bentoml_home / "bentos" / name / "latest"
    if latest.exists():
        yield latest.read_text().strip()
    server = settings.model_home(name) / "serving" / "server.json"
    for path in (server, *(settings.shop_home / "references" / name).glob("*.json")):
        said = json.loads(path.read_text()) if path.exists() else None
        for value in said.values() if isinstance(said, dict) else ():
            if isinstance(value, str):
                yield value.replace(":", "/").rpartition("/")[2]
