"""What `dg` does with the components, from the project's root, as whoever knows Dagster expects it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from project_copy import copy_project, python
from shipped import TAXI

from ml_assets.components.checked import unchecked
from ml_assets.components.model_scaffolder import ModelParams, model_yaml
from ml_assets.config.model_spec import ModelSpec, Task
from ml_assets.config.settings import PROJECT
from ml_assets.scaffold.write import next_port_offset

TYPE = "ml_assets.components.TrainedModel"
LONG = "ml_assets.components.trained_model.TrainedModel"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_project(tmp_path_factory.mktemp("project"))


def dg(project: Path, *arguments: str, **variables: str) -> tuple[int, str]:
    """How a command ends and what it says."""
    program = str(Path(sys.executable).with_name("dg"))
    done = python(project, program, *arguments, COLUMNS="200", **variables)
    return done.returncode, done.stdout + done.stderr


def test_components_are_listed_as_yaml_files_name_them(project: Path) -> None:
    code, said = dg(project, "list", "components", "--package", "ml_assets", "--json")
    assert code == 0, said
    listed = {each["key"] for each in json.loads(said)["items"]}
    assert listed == {f"ml_assets.components.{name}" for name in ("DbtWarehouse", "EventSource", "EventSources")} | {
        TYPE
    }


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        (LONG, {"spine": "dbt mart. ranking: who", "serving": "", "feature_service": "Feast feature service"}),
        (TYPE, {"entity": "ranking: who asks"}),
        ("ml_assets.components.EventSource", {"prefix": "first part of the asset keys"}),
        ("ml_assets.components.DbtWarehouse", {"project": "folder of the dbt project"}),
    ],
)
def test_a_component_shows_what_its_attributes_mean(project: Path, kind: str, keys: dict[str, str]) -> None:
    code, said = dg(project, "utils", "inspect-component", kind)
    assert code == 0, said
    properties = json.loads(said.partition("Component schema:")[2])["properties"]
    for key, meaning in keys.items():
        assert properties[key].get("description", "").startswith(meaning)


@TAXI
def test_a_scaffolded_model_says_what_to_fill_in_and_then_loads(project: Path) -> None:
    file = project / "ml_assets/defs/team/my_model/defs.yaml"
    code, said = dg(project, "scaffold", "defs", LONG, "team/my_model", "--source", "chicago_taxi")
    assert code == 0, said
    code, said = dg(project, "check", "yaml", "ml_assets/defs/team")
    assert code != 0
    empty = {"description", "spine", "feature_service", "entity", "time", "label"}
    assert {
        each for each in ModelSpec.model_fields if f"attributes.{each} None is not of type 'string'" in said
    } == empty
    code, said = dg(project, "check", "defs")
    line = next(n for n, text in enumerate(file.read_text().splitlines(), 1) if text.startswith("  spine:"))
    assert f"{file}:{line}: attributes.spine: fill it in: Input should be a valid string" in said
    text = file.read_text()
    filled = {
        "description": "d", "spine": "mart_taxi_tips_spine", "feature_service": "taxi_tips", "entity": "trip_id",
        "time": "ended_at", "label": "tipped",
    }  # fmt: skip
    for key, value in filled.items():
        text = text.replace(f"  {key}: #", f"  {key}: {value} #")
    assert "  horizon_days: 7 # days after" in text, "what is assumed is said"
    text = text.replace("  horizon_days: 7", "  horizon_days: 1")
    file.write_text(text + "  split: {train: \"{{ env('DAYS', '900') }}\", validation: 120, test: 480, holdout: 60}\n")
    assert dg(project, "check", "yaml", "ml_assets/defs/team", "--no-validate-requirements")[0] == 0
    code, said = dg(project, "check", "defs", "--no-check-yaml")
    assert code == 0, said
    code, said = dg(project, "list", "defs", "--json", "--assets", "key:my_model/champion")
    assert code == 0, said
    assert [each["asset_key"] for each in json.loads(said)["assets"]] == ["my_model/champion"]


@pytest.mark.parametrize("params", [ModelParams(), ModelParams(task=Task.RANKING, spine="s: x", description="a # b")])
def test_a_models_yaml_says_what_was_given(params: ModelParams) -> None:
    said = yaml.safe_load(model_yaml("name", params, PROJECT))
    assert said["type"] == TYPE
    given = {key: value for key, value in params.model_dump(mode="json").items() if value}
    ranked = {"source"} if params.task is Task.RANKING else set()
    assert {key: said["attributes"][key] for key in given.keys() - ranked} == {
        key: given[key] for key in given.keys() - ranked
    }
    assert said["attributes"]["serving"]["port_offset"] == next_port_offset(PROJECT, "name")


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"horizon_days": "{{ env.X }}", "task": "{{ env.Y }}", "slices": "{{ env.Z }}", "own": 1}, set()),
        ({"horizon_days": 0, "task": "binray", "slices": "a", "name": "A"}, {"horizon_days", "task", "slices", "name"}),
        ({"serving": {"port_offset": "ten", "cold": 3}}, {"serving"}),
    ],
)
def test_the_schema_takes_templates_and_no_wrong_value(given: dict[str, Any], wrong: set[str]) -> None:
    from jsonschema import Draft202012Validator

    validator = Draft202012Validator(unchecked(ModelSpec).model_json_schema())
    base = {"name": "a", "description": "d", "spine": "s", "feature_service": "f"}
    assert {error.path[0] for error in validator.iter_errors({**base, **given})} == wrong
