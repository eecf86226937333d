"""Publish the index as of now: built from the warehouse into a folder named by its content."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ml_assets.files import publish_folder, sha256_file
from ml_assets.learning.spec import ModelSpec
from ml_assets.retrieval.history import read_catalogue, read_interactions
from ml_assets.retrieval.index import build_index
from ml_assets.retrieval.store import ARRAYS, DESCRIPTION
from ml_assets.settings import Settings
from ml_assets.warehouse import as_of, connect


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
    home = settings.model_home(spec.name) / "indexes"
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home, prefix=".building-") as building:
        index.save(Path(building))
        path = home / sha256_file(Path(building, DESCRIPTION))[:12]
        with publish_folder(path) as aside:
            for name in (ARRAYS, DESCRIPTION):
                Path(building, name).rename(aside / name)
    return PublishedIndex(path, moment, len(index.products), len(index.customers))
