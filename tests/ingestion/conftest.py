"""Fixtures of the ingestion tests."""

from pathlib import Path

import pytest
from tiny_shop import TinyShop, tiny_shop


@pytest.fixture
def shop(tmp_path: Path) -> TinyShop:
    """A shop with a catalogue of three days."""
    made = tiny_shop(tmp_path / "home")
    made.open_days(3)
    return made
