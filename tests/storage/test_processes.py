"""A process is known again by its number and birth, whatever is done to the clock."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from ml_assets.storage.processes import birth, is_that


@pytest.fixture
def process() -> Iterator[psutil.Process]:
    started = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield psutil.Process(started.pid)
    started.communicate()


def test_it_is_the_same_one_when_the_clock_was_set(process: psutil.Process, monkeypatch: pytest.MonkeyPatch) -> None:
    born, by_the_clock = birth(process), process.create_time()
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: by_the_clock + 53.0)
    assert is_that(psutil.Process(process.pid), born)


def test_it_is_no_other_one(process: psutil.Process) -> None:
    assert not is_that(psutil.Process(), birth(process))
    assert not is_that(process, birth(process) + 0.01)


def test_one_that_was_noted_by_the_clock_is_known(process: psutil.Process) -> None:
    assert is_that(process, process.create_time())
