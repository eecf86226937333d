"""The tutorial, run as it is written: each block in order, in a copy of the project; what it shows is printed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from project_copy import environment, free_port, python

from ml_assets.config.settings import PROJECT
from ml_assets.scaffold.write import next_port_offset

PAGE = PROJECT / "docs" / "tutorial.md"
BLOCK = re.compile(
    r"(?:<!-- only with the make target (?P<target>\S+) -->\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.S | re.M
)
OFFSET = 11
"""The port of the model, above that of the deployment."""
SHELL = "set -e; if [ -e .state ]; then . ./.state; fi\n{text}\nexport -p > .state"


@dataclass(frozen=True)
class Block:
    """A fenced block: its kind, its text, and the make target it needs."""

    kind: str
    text: str
    target: str | None


def blocks(page: str) -> list[Block]:
    return [Block(found["kind"], found["text"], found["target"]) for found in BLOCK.finditer(page)]


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Path]:
    """What git has of the project, new files included, with the environment of this one; nothing was made in it yet."""
    folder = tmp_path / "project"
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("no git here: nothing to clone")
    for name in filter(None, listed.stdout.split("\0")):
        if (PROJECT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(PROJECT / name, folder / name)
    for name in ("requirements.lock", "requirements-dev.lock", "pyproject.toml"):
        os.utime(folder / name, (0, 0))  # `make setup` has been run: the environment is newer than these
    (folder / ".venv").symlink_to(Path(sys.executable).parent.parent)
    yield folder
    python(folder, "-m", "ml_assets", "stop")


AS_IT_SHIPS = pytest.mark.skipif(
    next_port_offset(PROJECT, "any new model") != OFFSET, reason="the tutorial is about the models that ship: not these"
)


@AS_IT_SHIPS
def test_the_tutorial_does_what_it_says(clone: Path) -> None:
    env = {name: value for name, value in environment(clone, free_port(OFFSET)).items() if name != "ML_ASSETS_HOME"}
    targets = re.findall(r"^([a-z-]+):", (clone / "Makefile").read_text(), re.MULTILINE)
    printed = ""
    for block in blocks(PAGE.read_text()):
        if block.kind == "text":
            assert_printed(block.text, printed)
        elif block.target is None or block.target in targets:
            printed = run(block, clone, env)


def run(block: Block, clone: Path, env: dict[str, str]) -> str:
    """What a block prints; its exports reach those after it."""
    inputs = {"sh": "", "python": block.text, "diff": block.text}
    commands = {
        "sh": SHELL.format(text=block.text),
        "python": SHELL.format(text=".venv/bin/python -"),
        "diff": "git apply --unidiff-zero -",
    }
    done = subprocess.run(
        ["bash", "-c", commands[block.kind]], cwd=clone, env=env, input=inputs[block.kind], capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == 0, f"{block.text}\nended with {done.returncode}:\n{said[-6000:]}"
    return said


def assert_printed(shown: str, printed: str) -> None:
    """Each line that the page shows is printed, in this order; … stands for anything."""
    at = 0
    for line in shown.splitlines():
        wanted = ".*".join(re.escape(part) for part in line.split("…"))
        found = re.compile(wanted).search(printed, at)
        assert found, f"the page shows\n{line}\nand printed is\n{printed[-6000:]}"
        at = found.end()


def test_every_kind_of_block_is_run_or_compared() -> None:
    page = PAGE.read_text()
    assert {block.kind for block in blocks(page)} == {"sh", "python", "text", "diff"}
    assert len(blocks(page)) == page.count("\n```") / 2
