"""What the fork server imports is there: it keeps silent about a module it cannot find."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from ml_assets.config.settings import PROJECT
from ml_assets.execution.preload_modules import preload


@pytest.mark.parametrize("job", ["ingest", "train"])
def test_every_module_can_be_found_and_the_warm_one_is_last(job: str) -> None:
    assert [name for name in preload(job) if importlib.util.find_spec(name) is None] == []
    assert preload(job)[-1] == "ml_assets.execution.fork_server.prewarm"


def test_feast_is_imported_as_it_is_written_and_typeguard_is_left_alone() -> None:
    code = (
        "import typeguard; before = typeguard.typechecked\n"
        "import ml_assets.execution.feast_import, feast\n"
        "assert typeguard.typechecked is before\n"
        "assert 'check_argument_types' not in feast.Entity.__init__.__code__.co_names"
    )
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True)


def test_what_changes_a_process_is_where_nobody_else_imports_it() -> None:
    """`dg` imports every module of `ml_assets.components` to list what there is."""
    code = (
        "import gc, importlib, pkgutil, sys, ml_assets.components as all\n"
        "for each in pkgutil.walk_packages(all.__path__, 'ml_assets.components.'): importlib.import_module(each.name)\n"
        "assert gc.isenabled() and gc.get_freeze_count() == 0\n"
        "assert 'ml_assets.definitions' not in sys.modules\n"
        "assert not [name for name in sys.modules if name.startswith('ml_assets.execution.fork_server.')]"
    )
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True)
