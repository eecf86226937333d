"""A shop with two versions, the first one deployed, and no registry that answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from release_traffic import Log, Shop

from ml_assets.config.settings import Settings
from ml_assets.release import control


@pytest.fixture
def shop(settings: Settings) -> Shop:
    made = Shop(settings)
    made.deploy("a")
    return made


@pytest.fixture
def log(settings: Settings) -> Log:
    return Log(settings)


@pytest.fixture
def minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that began an hour ago and is a minute later whenever a release looks at it."""
    began = datetime.now(UTC) - timedelta(hours=1)
    ticks = count()
    monkeypatch.setattr(control, "_now", lambda: began + timedelta(minutes=next(ticks)))
