"""The reference says what the code says now."""

from typing import Any

import pytest
from markdown import prose

from ml_assets.__main__ import parser
from ml_assets.config.model_spec import model_specs
from ml_assets.reference import FOLDER, pages, write


@pytest.fixture(scope="module")
def made(graph: Any) -> dict[str, str]:
    return pages(parser(), graph)


def test_the_committed_pages_are_what_is_made_now(made: dict[str, str]) -> None:
    kept = {path.name: path.read_text() for path in FOLDER.glob("*.md")}
    assert set(kept["checks.md"].splitlines()) >= set(made["checks.md"].splitlines()), "run `make reference` and commit"
    whole = {spec.ranks for spec in model_specs()} == {True, False}  # without a task, its checks are not in the graph
    stale = {name for name in {*made, *kept} if made.get(name) != kept.get(name)}
    assert stale <= (set() if whole else {"checks.md"}), "run `make reference` and commit docs/reference"


@pytest.mark.parametrize("page", ["model.md", "shop.md", "settings.md", "commands.md", "checks.md"])
def test_nothing_is_left_unexplained(made: dict[str, str], page: str) -> None:
    assert [line for line in made[page].splitlines() if line.endswith("|  |")] == []


def test_a_text_is_whole_and_as_the_command_shows_it(made: dict[str, str]) -> None:
    assert "`MODEL`: a model of this deployment" in made["commands.md"]
    assert "e.g. %d/%m/%Y" in made["commands.md"]
    assert "%%" not in made["commands.md"]
    drift = "the statistics are in `ml_assets.monitoring.drift` |"
    assert drift in next(line for line in made["model.md"].splitlines() if line.startswith("| `drift` |"))
    odd = [line for page in made.values() for line in page.splitlines() if line.startswith("|") and line.count("`") % 2]
    assert odd == [], "a text that breaks off leaves a quote open"


def test_a_key_has_its_bounds_default_and_place(made: dict[str, str]) -> None:
    assert (
        "| `slice_tolerance` | number ≥ 0 ≤ 1,000,000,000 | `0.02` | largest loss any slice may show |"
        in made["model.md"]
    )
    assert "At `split`, `retraining.split`." in made["model.md"]
    assert "`{train: 8, validation: 1, test: 1, holdout: 0}`" in made["model.md"]
    assert "| `every` | duration, e.g. `15 minutes` | `15 minutes` |" in made["shop.md"]
    assert "At `tables.<name>.columns`." not in made["shop.md"]
    assert "`ML_ASSETS_ONLINE_STORE`" in made["settings.md"]


def test_pages_no_longer_made_are_removed(tmp_path: Any, made: dict[str, str]) -> None:
    assert len(write(made, tmp_path)) == len(made)
    assert write(made, tmp_path) == []
    (tmp_path / "old.md").write_text("gone")
    assert write(made, tmp_path) == [tmp_path / "old.md"]
    assert {path.name: path.read_text() for path in tmp_path.glob("*.md")} == made
    assert prose(tmp_path / "model.md") == made["model.md"]
