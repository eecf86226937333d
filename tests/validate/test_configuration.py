"""What is configured is looked at before anything runs, and what is wrong is said in a line each."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ml_assets.config.component_files import DEFS
from ml_assets.config.settings import PROJECT, Settings
from ml_assets.config.yaml_file import ConfigError
from ml_assets.validate import project as configuration
from ml_assets.validate.project import check_configuration

RECOMMENDER = DEFS / "models" / "product_recommender" / "defs.yaml"
RETURNED = """
type: ml_assets.components.TrainedModel
attributes:
  name: returned
  description: Whether something comes back.
  task: binary
  spine: mart_recommendation_spine
  feature_service: product_recommender
  entity: product_id
  time: decision_ts
  label: label
  tuning: {trials: 2}
  serving: {port_offset: 97}
"""


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the recommender's YAML, and a model of events beside it."""
    copy = tmp_path / "defs" / "models"
    for name, text in {"product_recommender": RECOMMENDER.read_text(), "returned": RETURNED}.items():
        (copy / name).mkdir(parents=True)
        (copy / name / "defs.yaml").write_text(text)
    monkeypatch.setattr(configuration, "DEFS", copy.parent)
    return copy


def change(file: Path, old: str, new: str) -> None:
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))


def test_what_is_there_is_right(settings: Settings) -> None:
    check_configuration(settings)


def test_every_mistake_of_every_model_is_told(settings: Settings, models: Path) -> None:
    ranker, events = (models / name / "defs.yaml" for name in ("product_recommender", "returned"))
    change(ranker, "trials: 6", "trials: -5")
    change(ranker, "holdback: 0.02", "holdbak: 0.02")
    change(events, "  tuning:", "  release: {enabled: false}\n  tuning:")
    with pytest.raises(ConfigError) as told:
        check_configuration(settings)
    first, second, third = sorted(str(told.value).splitlines())
    assert f"{ranker}:" in first
    assert "attributes.serving.holdbak: there is no such key; did you mean 'holdback'?" in first + second
    assert "attributes.tuning.trials: Input should be greater than or equal to 0, not -5" in first + second
    assert third.startswith(f"{events}:")
    assert "attributes.release: only for rankings, and task is binary: take it out" in third


def test_what_is_named_and_is_not_there_is_told_of_all_models(settings: Settings, models: Path) -> None:
    change(models / "product_recommender" / "defs.yaml", "horizon_days: 7", "horizon_days: 9")
    change(models / "returned" / "defs.yaml", "label: label", "label: tiped")
    with pytest.raises(
        ConfigError, match=r"(?s)horizon_days: 9 here.*label: mart_recommendation_spine has no column tiped"
    ):
        check_configuration(settings)


def test_a_shop_without_a_file_is_told_with_those_there_are(settings: Settings) -> None:
    with pytest.raises(ConfigError, match=r"no shop at .*there are: .*simulated"):
        check_configuration(settings.model_copy(update={"shop": "nowhere"}))


@pytest.mark.parametrize("variables", [{"ML_ASSETS_PORT": "99999"}, {"ML_ASSETS_SHOP": "nowhere"}])
def test_definitions_that_do_not_load_say_why_and_no_more(tmp_path: Path, variables: dict[str, str]) -> None:
    env = {"PATH": os.environ["PATH"], "ML_ASSETS_HOME": str(tmp_path), **variables}
    code = "from ml_assets.definitions import defs; defs()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    (said,) = done.stderr.splitlines()
    assert next(iter(variables.values())) in said
