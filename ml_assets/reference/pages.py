"""Every page of the reference as text, and the folder they are kept in."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ml_assets.config.keep import Keep
from ml_assets.config.model_spec import ModelSpec, model_specs
from ml_assets.config.settings import PROJECT, VARIABLES, Settings
from ml_assets.config.sources import sources_beside
from ml_assets.reference.schema import default_text, sections, value_text
from ml_assets.storage.files import write_text_atomically

FOLDER = PROJECT / "docs" / "reference"
MADE = "<!-- Made by `make reference` from the code: edit the descriptions there. -->\n\n"

MODEL = """# A model's YAML

A `defs.yaml` in any folder under `ml_assets/defs/`: the `attributes` of the component
`ml_assets.components.TrainedModel`. A file may hold several, parted by `---`. A value may be `"{{ env.NAME }}"` or
`"{{ env('NAME', 'default') }}"`. An unknown key, a missing one or a value out of range stops the definitions from
loading, with file, line and key; `dg check defs` says so before anything runs.
Source: [`ml_assets/config/model_spec.py`](../../ml_assets/config/model_spec.py).

"""
SHOP = """# A shop's YAML

`shops/<name>.yaml`, laid on the file it `extends`, mapping by mapping
([`shops/contract.yaml`](../../shops/contract.yaml): the canonical columns and their rules); `ML_ASSETS_SHOP` names the
shop. A column given as text is its `from`, and a table's `name` is its key. A table with a `source` has neither
`address` nor `day`; see [sources](../how-to/sources.md). Source:
[`ml_assets/config/source_spec.py`](../../ml_assets/config/source_spec.py).

"""
SETTINGS = """# Settings

One deployment is described by environment variables; an unset or empty one takes the default. A value of the wrong form
stops every command and names the setting. `python -m ml_assets env` prints what is in force, without secrets.
Source: [`ml_assets/config/settings.py`](../../ml_assets/config/settings.py).

| variable | value | default | meaning |
|---|---|---|---|
"""
KEEP = """

## How long data is kept

`ML_ASSETS_KEEP` names kinds and days, e.g. `runs=30, landing=400, trials=ever`; what it does not name keeps its
default. What serves, what a rollback or a release needs and what the newest training set was made from is never
removed, however old. See [data that leaves](../how-to/data-that-leaves.md).

"""
COMMANDS = """# Commands

`.venv/bin/python -m ml_assets <command>`; `make` calls the same ones (`make help`).
An option in brackets may be left out. Beside them, `.venv/bin/python -m serving status` and `stop` show and stop the
model servers of the shop.

| command | what it does |
|---|---|
"""
ODD_VALUES = {"online_store_address": "path or text", "keep": "`kind=days`, comma between"}
"""What a setting takes that its type does not say."""
MODEL_OPTION = "--model"
MODEL_TAG = "ml_assets/model"
"""Which assets of the graph are a model's."""
CHECKS = """# Asset checks

What the graph checks by itself. A *blocking* check that fails stops what lies downstream in the same run, and a failed
check of severity `error` on data holds retraining back. `<model>` stands for each model, `<source>` for each source
beside the shop, `<table>` for each raw table, `<dbt model>` for each of dbt.

| asset | check | blocking | what it holds |
|---|---|---|---|
"""
DBT = """
## Tests of the dbt models

Each dbt test is a check of its asset, and blocks at severity `error`. They are declared in the `.yml` beside the model
under [`dbt_project/models/`](../../dbt_project/models). These are the shop's; a source beside it has its own.

| asset | tests |
|---|---|
"""


def pages(parser: argparse.ArgumentParser, graph: Any) -> dict[str, str]:
    """File name -> text of every page.

    Args:
        parser: of `python -m ml_assets`.
        graph: the resolved asset graph of a shop.
    """
    from ml_assets.config.source_spec import SourceSpec

    made = {
        "model.md": MODEL + sections(ModelSpec),
        "shop.md": SHOP + sections(SourceSpec),
        "settings.md": SETTINGS + "\n".join(_settings()) + KEEP + sections(Keep).partition("\n\n")[2],
        "commands.md": COMMANDS + "\n".join(_commands(parser)),
        "checks.md": CHECKS + "\n".join(_checks(graph)) + "\n" + DBT + "\n".join(_dbt_tests(graph)),
    }
    return {name: f"{MADE}{text.rstrip()}\n" for name, text in made.items()}


def write(made: dict[str, str], folder: Path = FOLDER) -> list[Path]:
    """Write the pages, remove those that are no longer made, and return the files that changed."""
    before = {path: path.read_text() for path in folder.glob("*.md")}
    after = {folder / name: text for name, text in made.items()}
    changed = [path for path in {**before, **after} if before.get(path) != after.get(path)]
    for path in changed:
        if path in after:
            write_text_atomically(path, after[path])
        else:
            path.unlink()
    return changed


def _settings() -> Iterator[str]:
    fields, described = Settings.model_fields, Settings.model_json_schema()["properties"]
    first = {"home": "`var` beside the project", "shop": "`simulated`"}  # what `load_settings` fills in
    for name, variable in VARIABLES.items():
        default = first.get(name) or default_text(fields[name].default)
        value = ODD_VALUES.get(name) or value_text(described[name], {})
        yield f"| `{variable}` | {value} | {default} | {fields[name].description} |"


def _commands(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Every subcommand with its arguments; argparse keeps both in fields of its own."""
    commands = next(each for each in parser._actions if isinstance(each, argparse._SubParsersAction))
    explained = {choice.dest: choice.help for choice in commands._choices_actions}
    for name, command in commands.choices.items():
        arguments = [each for each in command._actions if not isinstance(each, argparse._HelpAction)]
        usage = " ".join([name, *(_usage(each) for each in arguments)])
        said = "; ".join(f"`{_named(each)}`: {_help(each)}" for each in arguments)
        yield f"| `{usage}` | {explained[name]}{f'. {said}' if said else ''} |"


def _named(argument: argparse.Action) -> str:
    return argument.option_strings[-1] if argument.option_strings else argument.dest.upper()


def _usage(argument: argparse.Action) -> str:
    name = _named(argument)
    if not argument.option_strings:
        return f"[{name}]" if argument.nargs == "?" else name
    takes = "" if argument.nargs == 0 else f" {argument.dest.upper()}"
    return f"[{name}{takes}]"


def _help(argument: argparse.Action) -> str:
    if _named(argument) == MODEL_OPTION:
        return "a model of this deployment; asked for where several are deployed"
    default = f" (default: {argument.default})" if argument.default else ""
    said = str(argument.help).replace("%%", "%")  # as argparse itself shows it
    return f"{said}{default}"


def _checks(graph: Any) -> Iterator[str]:
    """The checks written here, of all models and tables as one."""
    rows: dict[str, None] = {}
    for key in graph.asset_check_keys:
        if not _of_dbt(graph, key):
            spec = graph.get_check_spec(key)
            said = " ".join((spec.description or "").split())
            blocking = "yes" if spec.blocking else ""
            asset = _asset(graph, key) if len(key.asset_key.path) > 1 else "<dbt model>"
            rows[f"| `{asset}` | `{_check(key.name)}` | {blocking} | {said} |"] = None
    yield from sorted(rows)


def _dbt_tests(graph: Any) -> Iterator[str]:
    tests: dict[str, list[str]] = {}
    for key in graph.asset_check_keys:
        if _of_dbt(graph, key) and graph.get(key.asset_key).group_name not in sources_beside():
            tests.setdefault(_asset(graph, key), []).append(f"`{key.name}`")
    for asset, names in sorted(tests.items()):
        yield f"| `{asset}` | {', '.join(sorted(names))} |"


def _of_dbt(graph: Any, key: Any) -> bool:
    return any(name.startswith("dagster_dbt") for name in graph.get_check_spec(key).metadata or {})


def _check(name: str) -> str:
    """The check's name, of one model for all."""
    model = next((spec.name for spec in model_specs() if name.startswith(f"{spec.name}_")), None)
    return name if model is None else name.replace(model, "<model>", 1)


def _asset(graph: Any, key: Any) -> str:
    """The asset's key, of one model, source or raw table for all."""
    first, *rest = key.asset_key.path
    if MODEL_TAG in graph.get(key.asset_key).tags:
        return "/".join(["<model>", *rest])
    if first in sources_beside():
        return "/".join(["<source>", *(rest if rest == ["online_store"] else ["<table>"])])
    return f"{first}/<table>" if first == "shop" else "/".join([first, *rest])
