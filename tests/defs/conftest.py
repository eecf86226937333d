"""The definitions of a deployment in which nothing was made yet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from ml_assets.definitions import defs

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ML_ASSETS_HOME", str(tmp_path_factory.mktemp("defs")))
        patch.delenv("ML_ASSETS_DATA", raising=False)
        patch.setenv("ML_ASSETS_SHOP", "simulated")
        yield defs().get_repository_def()
