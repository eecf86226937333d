"""Settings come from the environment, and only from there; everything lies under the home."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ml_assets.settings import PROJECT, load_settings


def test_defaults_write_below_the_project_only() -> None:
    settings = load_settings({})
    assert settings.home == PROJECT / "var"
    assert settings.host == "127.0.0.1"


def test_an_empty_variable_is_an_unset_one() -> None:
    assert load_settings({"ML_ASSETS_SHOP": "", "ML_ASSETS_DATA": ""}) == load_settings({})


@given(st.sampled_from(["simulated", "online_retail", "a1"]))
def test_every_path_lies_under_the_home(shop: str) -> None:
    settings = load_settings({"ML_ASSETS_HOME": "/somewhere/else", "ML_ASSETS_SHOP": shop})
    paths = [settings.lake, settings.landing, settings.warehouse, settings.online_store, settings.mlflow_artifacts]
    paths += [settings.bentoml_home, settings.dagster_home, settings.model_home("any")]
    assert all(path.is_relative_to(Path("/somewhere/else") / shop) for path in paths)


@pytest.mark.parametrize(
    ("name", "value"), [("SHOP", "../escape"), ("PORT", "70000"), ("PORT", "http"), ("THREADS", "0")]
)
def test_a_wrong_value_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(ValidationError, match=name.lower()):
        load_settings({f"ML_ASSETS_{name}": value})
