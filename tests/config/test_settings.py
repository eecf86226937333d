"""Settings come from the environment, and only from there; everything lies under the home."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ml_assets.config.settings import PROJECT, SECRETS, VARIABLES, Settings, load_settings, unknown_variables
from ml_assets.config.yaml_file import ConfigError


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
    ("name", "value"),
    [("SHOP", "../escape"), ("PORT", "70000"), ("PORT", "http"), ("THREADS", "0"), ("MEMORY", "lots")],
)
def test_a_wrong_value_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"^ML_ASSETS_{name}={re.escape(value)}: "):
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
    with pytest.raises(ConfigError, match="ML_ASSETS_ONLINE_STORE: "):
        load_settings({"ML_ASSETS_ONLINE_STORE": address})


KEY = "a-key-of-enough-letters"


def test_each_server_has_an_address_of_its_own() -> None:
    settings = load_settings({"ML_ASSETS_HOST": "0.0.0.0"})
    assert settings.url == "http://0.0.0.0:3300"
    assert {settings.ui_host, settings.mlflow_host, settings.stream_host} == {"127.0.0.1"}
    assert load_settings({"ML_ASSETS_HOST": "::1"}).url == "http://[::1]:3300"


@pytest.mark.parametrize(
    "key", ["short", "a key with spaces in it", "n\u00e4chste-haltestelle-bahnhof", "x" * 30 + "\n"]
)
def test_a_key_that_could_be_guessed_or_not_be_sent_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ConfigError, match=r"ML_ASSETS_API_KEY: .*openssl") as refused:
        load_settings({"ML_ASSETS_API_KEY": key})
    assert key not in str(refused.value)


def test_lists_are_checked_part_by_part() -> None:
    settings = load_settings({"ML_ASSETS_PAGES_NAMES": "dagster.example.com, a:8443,", "ML_ASSETS_API_KEY": KEY})
    assert settings.pages_names == ("dagster.example.com", "a:8443")
    assert KEY not in repr(settings)
    assert settings.key_header == {"authorization": f"Bearer {KEY}"}
    for name, value in (("PAGES_NAMES", "http://a"), ("PAGES_NAMES", "*"), ("ORIGINS", "shop.example.com")):
        with pytest.raises(ConfigError, match=f"ML_ASSETS_{name}"):
            load_settings({f"ML_ASSETS_{name}": value})


@pytest.mark.parametrize(
    "given",
    [
        {"ML_ASSETS_ONLINE_STORE": "redis://:s3cret@db.example.com/1"},
        {"ML_ASSETS_ONLINE_STORE": "redis://db.example.com/1", "ML_ASSETS_REDIS_PASSWORD": "s3cret"},
        *({name: "s3cret-of-enough-letters"} for name in sorted(SECRETS - {"ML_ASSETS_REDIS_PASSWORD"})),
        {"ML_ASSETS_MLFLOW_ADDRESS": "postgresql://me:s3cret@db.example.com/mlflow"},
        {"ML_ASSETS_REGISTRY_ADDRESS": "postgresql://db.example.com/feast?user=me&password=s3cret"},
    ],
    ids=lambda given: next(iter(given)),
)
def test_the_printed_environment_has_no_secrets_and_loses_none(given: dict[str, str], tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "ML_ASSETS_HOME": str(tmp_path), **given}
    printed = subprocess.run(
        [sys.executable, "-m", "ml_assets", "env"], cwd=PROJECT, env=env, capture_output=True, text=True, check=True
    ).stdout
    assert "s3cret" not in printed
    assert "export DAGSTER_HOME=" in printed
    code = "from ml_assets.config.settings import load_settings; print(load_settings().model_dump_json())"
    evaluated = 'eval "$PRINTED" && unset PRINTED && "$0" -c "$1"'
    direct, shell = (
        subprocess.run(command, cwd=PROJECT, env=each, capture_output=True, text=True, check=True).stdout
        for command, each in (
            ([sys.executable, "-c", code], env),
            (["sh", "-c", evaluated, sys.executable, code], env | {"PRINTED": printed}),
        )
    )
    assert shell == direct


def test_what_is_called_a_secret_is_one_by_its_type() -> None:
    called = {name for name in VARIABLES.values() if re.search("KEY|PASSWORD|TOKEN|SECRET", name)}
    assert called == SECRETS
    assert called >= {"ML_ASSETS_API_KEY", "ML_ASSETS_FEEDBACK_KEY", "ML_ASSETS_REDIS_PASSWORD"}


def test_a_misspelt_secret_is_not_printed(tmp_path: Path) -> None:
    done = command("env", ML_ASSETS_HOME=str(tmp_path), ML_ASSETS_APIKEY="s3cret-of-enough-letters")
    assert "did you mean 'ML_ASSETS_API_KEY'?" in done.stderr
    assert "s3cret" not in done.stdout + done.stderr


def command(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], **variables}
    run = [sys.executable, "-m", "ml_assets", *arguments]
    return subprocess.run(run, cwd=PROJECT, env=env, capture_output=True, text=True, check=False)


def test_a_command_says_what_is_wrong_with_a_setting_and_nothing_else(tmp_path: Path) -> None:
    refused = command("env", ML_ASSETS_HOME=str(tmp_path), ML_ASSETS_PORT="99999", ML_ASSETS_THREADS="0")
    assert refused.returncode == 2
    said = refused.stderr.splitlines()
    assert [line.partition(":")[0] for line in said] == ["ML_ASSETS_PORT=99999", "ML_ASSETS_THREADS=0"]
    unknown = command("env", ML_ASSETS_HOME=str(tmp_path), ML_ASSETS_SHOP="simulatd")
    assert unknown.returncode == 2
    assert unknown.stderr == "ML_ASSETS_SHOP=simulatd: there is no such shop; did you mean 'simulated'?\n"
    assert "online_retail" in command("env", ML_ASSETS_HOME=str(tmp_path), ML_ASSETS_SHOP="xyz").stderr


def test_a_misspelt_variable_is_said_with_the_nearest(tmp_path: Path) -> None:
    done = command("env", ML_ASSETS_HOME=str(tmp_path), ML_ASSETS_PROT="3399")
    assert done.returncode == 0
    assert done.stderr == "warning: ML_ASSETS_PROT is no setting and does nothing; did you mean 'ML_ASSETS_PORT'?\n"
    settings = load_settings({"ML_ASSETS_HOME": str(tmp_path)})
    assert unknown_variables(settings.exported, settings) == []
