"""Publish the index as of now: built from the warehouse into a folder named by its content."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.retrieval.history import read_catalogue, read_interactions
from ml_assets.retrieval.index import RetrievalIndex, build_index
from ml_assets.retrieval.store import ARRAYS, DESCRIPTION, IndexFilesError, verified_description
from ml_assets.storage.files import publish_folder, sha256_file
from ml_assets.storage.warehouse import as_of, connect


@dataclass(frozen=True)
class PublishedIndex:
    """Where an index lies and what is in it."""

    path: Path
    as_of: datetime
    products: int
    customers: int


def publish_index(spec: ModelSpec, settings: Settings) -> PublishedIndex:
    """Build the model's index as of the warehouse's newest day into `<model_home>/indexes/<content hash>`.

    Raises:
        WarehouseError: when there is no warehouse, no day in it, or a writer holds it for too long.
    """
    moment = as_of(settings)
    with connect(settings) as connection:
        interactions = read_interactions(connection, moment.date(), spec.retrieval.history_days)
        catalogue = read_catalogue(connection, moment.date())
    index = build_index(interactions, catalogue, moment, spec.retrieval)
    path = publish_built(index, settings.model_home(spec.name) / "indexes")
    return PublishedIndex(path, moment, len(index.products), len(index.customers))


def publish_built(index: RetrievalIndex, home: Path) -> Path:
    """Publish an index into `home` under the name that its content gives it; returns its folder."""
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home, prefix=".building-") as building:
        index.save(Path(building))
        path = home / _address(Path(building))
        with publish_folder(path) as aside:
            for name in (ARRAYS, DESCRIPTION):
                Path(building, name).rename(aside / name)
    return path


def verified_index(folder: Path) -> Path:
    """The folder of a published index, when its files are those it was published with.

    Raises:
        IndexFilesError: when they are not: the description has not the folder's address, or the arrays are others.
    """
    verified_description(folder)
    if _address(folder) != folder.name:
        raise IndexFilesError(f"{folder / DESCRIPTION} is not what was published: remove the folder and build it again")
    return folder


def _address(folder: Path) -> str:
    return sha256_file(folder / DESCRIPTION)[:12]
