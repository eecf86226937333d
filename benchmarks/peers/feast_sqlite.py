"""Feast as it comes: its own sqlite online store, filled by its own `materialize` from the same warehouse."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ml_assets.config.settings import PROJECT, Settings

if TYPE_CHECKING:
    from feast import FeatureStore


def open_plain(settings: Settings, folder: Path) -> FeatureStore:
    """Feast's store whose registry and online store lie in `folder`; it reads the warehouse of `settings`."""
    settings.export()
    from feast import FeatureStore, RepoConfig

    from feature_repo.stores.asof import AsofOfflineStoreConfig

    offline = AsofOfflineStoreConfig(database=str(settings.warehouse), threads=settings.threads, memory=settings.memory)
    return FeatureStore(
        config=RepoConfig(
            project="plain",
            provider="local",
            registry={"registry_type": "sql", "path": f"sqlite:///{folder / 'registry.db'}"},
            offline_store=offline.model_dump(),
            online_store={"type": "sqlite", "path": str(folder / "online.db")},
            entity_key_serialization_version=3,
            repo_path=PROJECT / "feature_repo",
        )
    )


def fill(settings: Settings, folder: Path, as_of: datetime) -> None:
    """Apply the project's definitions and materialize them as of a moment (naive: UTC), unless that was done."""
    done = folder / "filled"
    if done.exists() and done.read_text() == str(as_of):
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    store = open_plain(settings, folder)
    from benchmarks.peers.on_demand import definitions

    store.apply(definitions())
    store.materialize(datetime(2000, 1, 1, tzinfo=UTC), as_of.replace(tzinfo=as_of.tzinfo or UTC))
    done.write_text(str(as_of))
