"""Every test gets a home folder of its own; telemetry stays off and nothing reads the developer's own `var/`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ml_assets.settings import PROJECT, QUIET, Settings, load_settings

os.environ.update(QUIET)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings whose home is an empty temporary folder."""
    return load_settings({"ML_ASSETS_HOME": str(tmp_path / "home")})


def shared_data(name: str) -> Path:
    """Path of a real data file kept beside the project; skips the test, saying so, where it is absent."""
    root = Path(os.environ.get("ML_ASSETS_SHARED") or PROJECT.parent / "shared" / "data")
    path = root / name
    if not path.exists():
        pytest.skip(f"real data not here: {path} (set ML_ASSETS_SHARED)")
    return path
