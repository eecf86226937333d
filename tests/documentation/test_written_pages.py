"""Every page says what is so: its links, files, commands, variables and YAML are real."""

import re
import shlex
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._config import validate_config
from dagster._core.instance.config import dagster_instance_config_schema
from markdown import anchors, blocks, code, commands, links
from shipped import require

from ml_assets.__main__ import parser
from ml_assets.config.model_spec import ModelSpec, models
from ml_assets.config.settings import PROJECT, VARIABLES
from ml_assets.config.source_spec import merge, parse_source

PAGES = [*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md"), PROJECT / "dbt_project" / "README.md"]
OUR_FOLDERS = ("ml_assets/", "serving/", "feature_repo/", "dbt_project/", "shops/", "benchmarks/", "docs/", "tests/")
NOT_KEPT = (
    "benchmarks/results/", "shops/my_shop.yaml", "dbt_project/models/appointments/",
    "feature_repo/features/appointments.yaml", "ml_assets/defs/models/no_show/",
)  # fmt: skip
"""What `make bench` and a reader make."""
RUN_AS_A_WHOLE = PROJECT / "docs" / "tutorial.md"
"""Its commands speak of what it creates: a test of its own runs them."""
EXPORTED = re.findall(r'"(ML_ASSETS_\w+)":', (PROJECT / "ml_assets" / "config" / "settings.py").read_text())
ENVIRONMENT = 'eval "$(.venv/bin/python -m ml_assets env)"'
RECOMMENDER = models()["product_recommender"][1].file


def _name(page: Path) -> str:
    return str(page.relative_to(PROJECT))


each_page = pytest.mark.parametrize("page", PAGES, ids=_name)


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in links(page):
        if link.startswith(("http://", "https://", *NOT_KEPT)):
            continue
        address, _, anchor = link.partition("#")
        target = (page.parent / address).resolve() if address else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@each_page
def test_files_named_exist(page: Path) -> None:
    paths = [text for text in code(page) if text.startswith(OUR_FOLDERS) and not text.startswith(NOT_KEPT)]
    named = [text for text in paths if not re.search(r"[<>{}*…$ ]", text)]
    assert [text for text in named if not any((home / text).exists() for home in (PROJECT, page.parent))] == []


@each_page
def test_variables_named_exist(page: Path) -> None:
    named = set(re.findall(r"ML_ASSETS_[A-Z_]*[A-Z]", page.read_text()))
    assert named - {*VARIABLES.values(), *EXPORTED} == set()


@pytest.mark.parametrize("page", [page for page in PAGES if page != RUN_AS_A_WHOLE], ids=_name)
def test_commands_are_understood(page: Path, graph: Any) -> None:
    if "taxi_tips" in page.read_text():
        require("taxi_tips")
    for command in commands(page):
        for words in _simple_commands(command):
            _understood(words, graph)


def _simple_commands(command: str) -> list[list[str]]:
    """The words of each command of a line, and of those it runs first to use what they print."""
    inner = re.findall(r"\$\(([^)]*)\)", command)
    parts = [part for text in [*inner, command] for part in re.split(r"&&|\||;|<", text)]
    return [shlex.split(part.replace('"$(', "").replace(')"', "")) for part in parts if part.count("'") % 2 == 0]


@each_page
def test_dagsters_commands_come_after_their_environment(page: Path) -> None:
    called = [re.match(r"dg |dagster ", command) is not None for command in commands(page)]
    told = [command.startswith(ENVIRONMENT) for command in commands(page)]
    assert True not in called or True in told[: called.index(True)]


def _understood(words: list[str], graph: Any) -> None:
    if "-m" in words and words[words.index("-m") + 1] in {"ml_assets", "serving"}:
        module, *given = words[words.index("-m") + 1 :]
        if module == "ml_assets":
            parser().parse_args(given)  # exits when it does not understand
        else:
            assert given[0] in {"status", "stop"}, words
    elif words and words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE)
        named = [word for word in words[1:] if "=" not in word]
        assert set(named) <= set(targets), words
    elif "--job" in words:
        assert words[words.index("--job") + 1] in {*_jobs(), "land"}, words  # `land`: of a shop with sources
    for option in {"--assets", "--select"} & set(words):
        chosen = dg.AssetSelection.from_string(words[words.index(option) + 1].replace("MODEL", "product_recommender"))
        assert chosen.resolve(graph), words


def _jobs() -> set[str]:
    from ml_assets.config.settings import load_settings
    from ml_assets.defs.jobs import asset_jobs

    return {*asset_jobs(load_settings()), "rollback"}


@pytest.mark.parametrize(
    "text",
    [pytest.param(text, id=f"{page.name}-{at}") for page in PAGES for at, text in enumerate(blocks(page, "yaml"))],
)
def test_yaml_is_valid(text: str) -> None:
    content = yaml.safe_load(text)
    if "tables" in content:
        base = yaml.safe_load((PROJECT / "shops" / content.pop("extends", "contract.yaml")).read_text())
        parse_source(merge(base, content))
    elif "models" in content or "columns" in content:  # a dbt model's .yml, or a part of it
        described = [*content.get("columns", ()), *content.get("models", ())]
        assert all(each["name"] and each["description"] for each in described)
    elif "storage" in content:  # dagster.yaml, or a part of it
        assert validate_config(dagster_instance_config_schema(), content).success
    else:  # a model, or a part of one
        known = yaml.safe_load(RECOMMENDER.read_text())["attributes"]
        ModelSpec.model_validate(merge(known, content.get("attributes", content)))
