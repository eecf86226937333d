"""Settings come from the environment, and only from there; everything lies under the home."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ml_assets.settings import PROJECT, Settings, load_settings


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


def test_the_online_store_is_a_file_or_redis_behind_one_variable() -> None:
    default = load_settings({"ML_ASSETS_HOME": "/somewhere"})
    assert default.online_store == default.feast_home / "online.db"
    file = load_settings({"ML_ASSETS_ONLINE_STORE": "/elsewhere/features.db"})
    assert file.online_store == Path("/elsewhere/features.db")
    assert (
        default.online_store_type == file.online_store_type == "feature_repo.stores.wide_sqlite.WideSqliteOnlineStore"
    )
    server = load_settings({"ML_ASSETS_ONLINE_STORE": "rediss://user@host:6380/2"})
    assert server.online_store == "rediss://user@host:6380/2"
    assert server.online_store_type == "feature_repo.stores.wide_redis.WideRedisOnlineStore"


@pytest.mark.parametrize("address", ["redis://:pa55%40word@host:6380/2", "redis://user:pa55%40word@host:6380/2"])
def test_a_password_is_kept_apart_and_never_shown(address: str) -> None:
    settings = load_settings({"ML_ASSETS_ONLINE_STORE": address})
    assert settings.redis_password is not None
    assert settings.redis_password.get_secret_value() == "pa55@word"
    assert settings.online_store in {"redis://host:6380/2", "redis://user@host:6380/2"}
    assert "pa55" not in repr(settings)
    given = {"home": "/somewhere", "shop": "simulated", "online_store_address": address}
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate(given)
    assert "pa55" not in str(refused.value)


@pytest.mark.parametrize("address", ["http://host/1", "redis://", "redis://host:99999/0", "redis://host:port/0"])
def test_an_online_store_of_another_kind_is_refused(address: str) -> None:
    with pytest.raises(ValidationError, match="online_store_address"):
        load_settings({"ML_ASSETS_ONLINE_STORE": address})
