"""The definitions of a deployment in which nothing was made yet, on a day on which the shop trades."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from ml_assets.ingestion.days import freshness

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from ml_assets.definitions import defs

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ML_ASSETS_HOME", str(tmp_path_factory.mktemp("defs")))
        patch.delenv("ML_ASSETS_DATA", raising=False)
        patch.setenv("ML_ASSETS_SHOP", "simulated")
        patch.setattr(freshness, "clock", lambda: NOW)
        yield defs().get_repository_def()
