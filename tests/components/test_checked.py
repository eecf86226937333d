"""A misspelt key of any component's YAML is told with the nearest one, by the command that people run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from bakery import FIRST, MODEL, ONE_FILE, SOURCE, open_bakery
from project_copy import copy_project, python

MISSPELT = {"bootstrap_unit": "bootstrap_unti", "trials": "trails", "validation": "validaton"}
SAID = """
attributes.bootstrap_unti: there is no such key; did you mean 'bootstrap_unit'?
attributes.tuning.trails: there is no such key; did you mean 'trials'?
attributes.monitoring.quality.delay_dais: there is no such key; did you mean 'delay_days'?
attributes.split.validaton: there is no such key; did you mean 'validation'?
"""


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_project(tmp_path_factory.mktemp("project"))
    open_bakery(folder, SOURCE.format(calendar=f"{{start: {FIRST}}}", address=ONE_FILE))
    return folder


def checked(project: Path, file: str, text: str) -> list[str]:
    """What `dg check defs` says of a file with this content."""
    path = project / "ml_assets/defs" / file / "defs.yaml"
    before = path.read_text()
    path.write_text(text)
    try:
        done = python(project, str(Path(sys.executable).with_name("dg")), "check", "defs")
    finally:
        path.write_text(before)
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "Additional properties" not in said
    return [line.partition(f"{file}/defs.yaml:")[2].partition(": ")[2] for line in said.splitlines()]


def test_every_level_of_a_model(copied: Path) -> None:
    text = MODEL
    for key, odd in MISSPELT.items():
        assert f"{key}: " in text
        text = text.replace(f"{key}: ", f"{odd}: ")
    text += "\n  monitoring: {quality: {delay_dais: 3}}\n"
    said = checked(copied, "models/demand", text)
    assert set(SAID.strip().splitlines()) <= set(said)


@pytest.mark.parametrize(
    ("file", "key", "nearest"),
    [("shop", "prefx", "prefix"), ("sources", "ownr", "owner"), ("warehouse", "projct", "project")],
)
def test_the_other_components(copied: Path, file: str, key: str, nearest: str) -> None:
    text = (copied / f"ml_assets/defs/{file}/defs.yaml").read_text().replace("attributes: {}", "attributes:")
    said = checked(copied, file, f"{text.rstrip()}\n  {key}: x\n")
    assert f"attributes.{key}: there is no such key; did you mean '{nearest}'?" in said
