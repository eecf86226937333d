"""The table of packages in docs/architecture.md says what the import contracts say, and the contracts can fail."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ml_assets.config.settings import PROJECT

ROW = re.compile(r"^\| (\d+) \| \[`([\w.]+)`\]", re.MULTILINE)


def contract(kind: str) -> dict[str, list[str]]:
    read = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    (found,) = [each for each in read["tool"]["importlinter"]["contracts"] if each["id"] == kind]
    return found


def test_the_table_of_packages_is_the_contract():
    rows = ROW.findall((PROJECT / "docs" / "architecture.md").read_text())
    layers = contract("layers")["layers"]
    said = [(str(number), each.strip()) for number, layer in enumerate(layers, 1) for each in layer.split(":")]
    assert rows == said


def test_every_package_is_in_a_layer():
    said = {each.strip() for layer in contract("layers")["layers"] for each in layer.split(":")}
    there = {f"ml_assets.{path.parent.name}" for path in (PROJECT / "ml_assets").glob("*/__init__.py")}
    assert there <= said


@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        ("ml_assets/config/keys.py", "import ml_assets.storage.files", "imports point down"),
        ("ml_assets/monitoring/reports.py", "import ml_assets.monitoring.drift.daily", "no cycle"),
        ("ml_assets/storage/files.py", "import dagster", "no Dagster"),
    ],
)
def test_a_wrong_import_is_named(tmp_path: Path, file: str, line: str, broken: str):
    for name in ("ml_assets", "serving", "feature_repo"):
        shutil.copytree(PROJECT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    with (tmp_path / file).open("a") as wrong:
        wrong.write(f"\n{line}\n")
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    asked = {"cwd": tmp_path, "env": {"PYTHONPATH": str(tmp_path)}, "capture_output": True, "text": True}
    said = subprocess.run(command, check=False, **asked)
    assert said.returncode == 1
    assert any(broken in text for text in said.stdout.splitlines() if text.endswith("BROKEN")), said.stdout
