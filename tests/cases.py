"""Inputs of strangers that are kept beside the project: tests that need one are skipped where they are not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ml_assets.config.settings import PROJECT


def case(path: str) -> Path:
    """A file of `../shared/cases`, or of the folder that `ML_ASSETS_CASES` names."""
    named = os.environ.get("ML_ASSETS_CASES")
    folders = [Path(named)] if named else [parent / "shared/cases" for parent in PROJECT.parents]
    found = next((folder / path for folder in folders if (folder / path).exists()), None)
    if found is None:
        pytest.skip(f"no {path} in {' or '.join(map(str, folders))}: set ML_ASSETS_CASES to where the cases are")
    return found
