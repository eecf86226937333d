"""Components are found in any folder under `defs/`, and what is wrong in a file is told with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

import ml_assets.components
from ml_assets.config.component_files import PACKAGE, TYPES, component_files, model_components
from ml_assets.config.model_spec import model_spec, models, read_model
from ml_assets.config.yaml_file import ConfigError

MODEL = """\
type: ml_assets.components.TrainedModel
attributes:
  name: NAME
  description: d
  spine: s
  feature_service: f
"""
WAREHOUSE = "type: ml_assets.components.DbtWarehouse\n"


def model(name: str) -> str:
    return MODEL.replace("NAME", name)


def put(defs: Path, path: str, text: str) -> Path:
    file = defs / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_models_are_found_in_any_folder_and_document(tmp_path: Path) -> None:
    put(tmp_path, "models/a/defs.yaml", model("a"))
    put(tmp_path, "any/deep/er/defs.yaml", f"# two\n---\n{model('c')}---\n{model('b')}")
    put(tmp_path, "other/defs.yml", model("d"))
    put(tmp_path, "long/defs.yaml", model("e").replace(".TrainedModel", ".trained_model.TrainedModel"))
    put(tmp_path, "warehouse/defs.yaml", WAREHOUSE)
    put(tmp_path, "somebody/defs.yaml", "type: dagster_dbt.DbtProjectComponent\nattributes: {project: x}\n")
    put(tmp_path, ".hidden/defs.yaml", model("no"))
    put(tmp_path, "__pycache__/defs.yaml", model("no"))
    found = models(tmp_path)
    assert list(found) == ["a", "b", "c", "d", "e"]
    assert {name: part.number for name, (_, part) in found.items()} == {"a": 0, "b": 1, "c": 0, "d": 0, "e": 0}
    assert found["b"][1].file == found["c"][1].file == tmp_path / "any/deep/er/defs.yaml"


def test_models_below_a_folder_that_is_a_component_are_refused_as_dagster_never_sees_them(tmp_path: Path) -> None:
    above = put(tmp_path, "team/defs.yaml", "type: dagster.DefsFolderComponent\n")
    file = put(tmp_path, "team/a/defs.yaml", f"# mine\n{model('a')}")
    assert list(models(tmp_path)) == ["a"]
    above.write_text(WAREHOUSE)
    with pytest.raises(ConfigError) as told:
        models(tmp_path)
    assert str(told.value).startswith(f"{file}:2: Dagster does not look here, as {above} makes")


def test_two_models_of_one_name_are_told_with_both_places(tmp_path: Path) -> None:
    first = put(tmp_path, "a/defs.yaml", model("tips"))
    second = put(tmp_path, "b/defs.yaml", f"{model('other')}---\n{model('tips')}")
    with pytest.raises(ConfigError) as told:
        models(tmp_path)
    said = f"{second}:10: attributes.name: 'tips' is the name of another model already: {first}:3: attributes.name"
    assert str(told.value).startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("attributes: {name: a}\n", "1: type: a component needs a type; there are: ml_assets.components.DbtWarehouse"),
        ("typ: x\n", "1: typ: there is no such key; did you mean 'type'?"),
        ("type: ml_assets.components.TrainedModl\n", "1: type: there is no component 'ml_assets.components.TrainedMod"),
        ("type: TrainedModel\n", "did you mean 'ml_assets.components.TrainedModel'?"),
        ("type: ml_asset.components.TrainedModel\n", "did you mean 'ml_assets.components.TrainedModel'?"),
        ("type: ml_assets.componets.EventSourc\n", "did you mean 'ml_assets.components.EventSource"),
        ("type: ml_assets.components.warehouse.TrainedModel\n", "did you mean 'ml_assets.components.TrainedModel'?"),
        (WAREHOUSE + "attributs: {}\n", "2: attributs: there is no such key; did you mean 'attributes'?"),
        (WAREHOUSE + "attributes: [1]\n", "2: attributes: these are keys and values, not [1]"),
        ("- a\n", "1: a component has `type:` and `attributes:`"),
        ("# nothing\n", "1: nothing is said here"),
        (WAREHOUSE + "---\n" + WAREHOUSE + "a: [\n", "5: this is no YAML: "),
        (WAREHOUSE + "---\ntype: x\ntype: y\n", "4: type: this key is there twice; keep one"),
        (WAREHOUSE + "---\n\ntype: ml_assets.components.TraindModel\n", "4: type: there is no component"),
        (WAREHOUSE + "---\n" + model("a") + "  splt: {}\n", "9: attributes.splt: there is no such key; did you"),
        (WAREHOUSE + "---\n" + model("a").replace("  spine: s\n", ""), "4: attributes.spine: Field required"),
        (model("a") + "  split: {train: {{ env.X }}}\n", '7: this is no YAML: found unhashable key; a template is'),
    ],
)  # fmt: skip
def test_what_is_no_component_is_told_with_file_line_and_the_nearest(tmp_path: Path, text: str, said: str) -> None:
    file = put(tmp_path, "deep/er/defs.yaml", text)
    with pytest.raises(ConfigError) as told:
        models(tmp_path)
    line = said.partition(":")[0] if said[0].isdigit() else "1"
    assert str(told.value).startswith(f"{file}:{line}: ")
    assert said in str(told.value)


def test_the_types_are_those_of_the_package() -> None:
    assert set(TYPES) == set(ml_assets.components.__all__)
    for name, module in TYPES.items():
        assert getattr(ml_assets.components, name).__module__ == f"{PACKAGE}.{module}"


def test_a_file_is_read_again_when_it_or_what_its_templates_look_at_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = model("a") + "  serving: {port_offset: \"{{ env('OFFSET', '7') }}\"}\n"
    file = put(tmp_path, "a/defs.yaml", text)

    def offset() -> int:
        [component] = model_components(tmp_path)
        return read_model(component).serving.port_offset

    assert offset() == offset() == 7
    monkeypatch.setenv("OFFSET", "8")
    assert offset() == 8
    file.write_text(text.replace("OFFSET", "OTHER_OFFSET"))
    assert offset() == 7
    file.unlink()
    assert models(tmp_path) == {} and component_files(tmp_path) == []


def test_a_name_that_is_no_model_is_told_with_those_there_are() -> None:
    with pytest.raises(KeyError, match="no model 'tips'; there are: product_recommender, taxi_tips"):
        model_spec("tips")
