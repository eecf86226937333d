"""An older project's YAML and home are taken along: keys get their names of today, what was published is sealed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ml_assets.config.component_files import component_files, components
from ml_assets.config.model_spec import model_specs, read_model
from ml_assets.config.renamed import RENAMED, first_names, todays_names
from ml_assets.config.yaml_file import ConfigError
from ml_assets.migrate import rename_keys

OLD = """\
type: ml_assets.components.trained_model.TrainedModel

attributes:
  name: tips # request: said in a comment
  description: "known_after: said in a text"
  task: binary
  source: trips
  spine: mart_tips
  feature_service: tips
  request: [fare, miles] # numbers
  known_after: [tip]
  slices:
    - cluster
  "cluster": event_day
"""


def test_keys_get_their_names_of_today_where_they_stand(tmp_path: Path):
    path = tmp_path / "defs.yaml"
    path.write_text(OLD)
    said = rename_keys(path)
    assert said == [
        f"{path}:10: request -> request_features",
        f"{path}:11: known_after -> post_outcome_columns",
        f"{path}:14: cluster -> bootstrap_unit",
    ]
    assert path.read_text() == OLD.replace("  request: [", "  request_features: [").replace(
        "  known_after: [", "  post_outcome_columns: ["
    ).replace('"cluster": e', '"bootstrap_unit": e')
    (component,) = components(path, tmp_path)
    spec = read_model(component)
    assert (spec.request_features, spec.post_outcome_columns, spec.bootstrap_unit) == (
        ("fare", "miles"), ("tip",), "event_day",
    )  # fmt: skip
    assert rename_keys(path) == [], "a second time there is nothing to do"


def test_keys_of_one_line_and_line_ends_stay_where_they_are(tmp_path: Path):
    path, kind = tmp_path / "defs.yaml", "type: ml_assets.components.TrainedModel\r\n"
    path.write_bytes(f"{kind}attributes: {{request: [a], cluster: b, known_after: [c]}}\r\n".encode())
    assert len(rename_keys(path)) == 3
    said = "attributes: {request_features: [a], bootstrap_unit: b, post_outcome_columns: [c]}\r\n"
    assert path.read_bytes() == f"{kind}{said}".encode()


def test_a_former_key_is_refused_with_the_command_that_renames_it(tmp_path: Path):
    path = tmp_path / "defs.yaml"
    path.write_text(OLD)
    (component,) = components(path, tmp_path)
    with pytest.raises(ConfigError) as error:
        read_model(component)
    assert str(error.value).splitlines() == [
        f"{path}:14: attributes.cluster: is called bootstrap_unit now: `make migrate` renames it",
        f"{path}:11: attributes.known_after: is called post_outcome_columns now: `make migrate` renames it",
        f"{path}:10: attributes.request: is called request_features now: `make migrate` renames it",
    ]


def test_what_was_recorded_by_a_first_name_is_read_and_written_by_it():
    recorded = {"request": ["fare"], "truth_grade": 3, "name": "tips"}
    assert first_names(todays_names(recorded)) == recorded


def test_nothing_that_ships_has_a_former_name():
    assert [line for path in component_files() for line in rename_keys(path)] == []
    assert [spec.name for spec in model_specs() if RENAMED.keys() & json.loads(spec.model_dump_json()).keys()] == []
