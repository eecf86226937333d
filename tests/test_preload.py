"""What the fork server imports is there: it keeps silent about a module it cannot find."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from ml_assets.preload import preload
from ml_assets.settings import PROJECT


@pytest.mark.parametrize("job", ["ingest", "train"])
def test_every_module_can_be_found_and_the_warm_one_is_last(job: str) -> None:
    assert [name for name in preload(job) if importlib.util.find_spec(name) is None] == []
    assert preload(job)[-1] == "ml_assets.components.warm"


def test_feast_is_imported_as_it_is_written_and_typeguard_is_left_alone() -> None:
    code = (
        "import typeguard; before = typeguard.typechecked\n"
        "import ml_assets.unchecked_feast, feast\n"
        "assert typeguard.typechecked is before\n"
        "assert 'check_argument_types' not in feast.Entity.__init__.__code__.co_names"
    )
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True)
