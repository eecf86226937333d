"""The example beside the shop is nobody's foundation: without all its files everything loads and the commands work."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from project_copy import copy_project, python
from shipped import TAXI

from ml_assets.config.settings import PROJECT

FILES = (
    "ml_assets/defs/models/taxi_tips", "sources/chicago_taxi.yaml", "feature_repo/features/chicago_taxi.yaml",
    "dbt_project/models/chicago_taxi", "dbt_project/macros/chicago_taxi.sql",
)  # fmt: skip
LOAD = """
import json
from ml_assets.definitions import defs
found = defs()
found.get_repository_def()
print(json.dumps(sorted(key.to_user_string() for key in found.resolve_asset_graph().get_all_asset_keys())))
"""

pytestmark = TAXI


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which the taxis never were: a fresh clone has no folder without a file either."""
    folder = copy_project(tmp_path_factory.mktemp("without") / "project")
    for name in FILES:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
    return folder


def test_nothing_else_names_it(without: Path) -> None:
    files = [path for path in without.rglob("*") if path.suffix in {".py", ".sql", ".yml", ".yaml", ".j2", ".html"}]
    assert len(files) > 300
    assert [path for path in files if "taxi" in path.read_text().lower()] == []


def test_the_definitions_load_and_are_right(without: Path) -> None:
    done = python(without, "-c", LOAD)
    assert done.returncode == 0, done.stderr[-3000:]
    keys = json.loads(done.stdout.splitlines()[-1])
    assert {"shop/events", "product_recommender/deployment"} <= set(keys)
    checked = python(without, str(Path(sys.executable).with_name("dg")), "check", "defs")
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(("command", "folder"), [("reference", "docs/reference"), ("schemas", "docs/schemas")])
def test_what_is_made_of_the_code_is_made(without: Path, command: str, folder: str) -> None:
    shutil.copytree(PROJECT / folder, without / folder, dirs_exist_ok=True)
    done = python(without, "-m", "ml_assets", command)
    assert done.returncode == 0, done.stderr[-3000:]
    for path in (without / folder).iterdir():
        now, shipped = path.read_text(), (PROJECT / folder / path.name).read_text()
        if path.name == "checks.md":  # where it was the only model of events, their checks are gone
            assert set(now.splitlines()) <= set(shipped.splitlines())
        else:
            assert now == shipped, path.name
