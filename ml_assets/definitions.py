"""The Dagster code location: everything under `defs/`, run step by step in forked processes."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import dagster as dg

from ml_assets.defs.freshness import with_freshness
from ml_assets.settings import Settings, load_settings


@dg.definitions
def defs() -> dg.Definitions:
    """All assets, checks, jobs, sensors and schedules of this deployment."""
    settings = load_settings()
    settings.export()
    return loaded(settings)


@cache
def loaded(settings: Settings) -> dg.Definitions:
    """The definitions under these settings; built once per process, since Dagster asks for them at every step."""
    return with_freshness(dg.load_from_defs_folder(path_within_project=Path(__file__)))
