"""A log of its own for every test."""

import pytest
from answer_lines import Log

from ml_assets.config.settings import Settings


@pytest.fixture
def log(settings: Settings) -> Log:
    return Log(settings)
