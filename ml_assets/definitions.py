"""The Dagster code location: everything under `defs/`, run step by step in forked processes."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from ml_assets.defs.freshness import with_freshness
from ml_assets.settings import load_settings


@dg.definitions
def defs() -> dg.Definitions:
    """All assets, checks, jobs, sensors and schedules of this deployment."""
    load_settings().export()
    return with_freshness(dg.load_from_defs_folder(path_within_project=Path(__file__)))
