"""A project of its own with a trained and served model, made once for all tests that ask it."""

from __future__ import annotations

import datetime as dt
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bakery import DAYS, FIRST, RUN, make_project, python


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = make_project(tmp_path_factory.mktemp("own") / "project")
    yield made
    python(made, "-m", "serving", "stop")


@pytest.fixture(scope="session")
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def runs(project: Path, port: int) -> dict[str, dict[str, Any]]:
    days = str(FIRST), str(FIRST + dt.timedelta(days=DAYS - 1))
    done = python(project, "-c", RUN, *days, port=port)
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"job"')]
    assert len(found) == 2, done.stderr[-3000:]
    return {each["job"]: each for each in found}
