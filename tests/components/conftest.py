"""A project of its own with a trained and served model, made once for all tests that ask it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bakery import DAYS, FIRST, PORT_OFFSET, make_project
from project_copy import free_port, python, run_jobs


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = make_project(tmp_path_factory.mktemp("own") / "project")
    yield made
    python(made, "-m", "serving", "stop")


@pytest.fixture(scope="session")
def port() -> int:
    """Where the bakery's model answers."""
    return free_port()


@pytest.fixture(scope="session")
def runs(project: Path, port: int) -> dict[str, dict[str, Any]]:
    return run_jobs(project, "bakery", FIRST, FIRST + dt.timedelta(days=DAYS - 1), port - PORT_OFFSET)
