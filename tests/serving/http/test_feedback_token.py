"""Tokens and their key: the same in all processes of a deployment, whoever made it; of no other answer or model."""

import os
import stat
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from ml_assets.config.settings import PROJECT, Settings, load_settings
from ml_assets.config.yaml_file import ConfigError
from serving.http.feedback_token import KeyFileError, Tokens, key_path, shared_key, tokens_of

ID = "0123456789abcdef" * 2
ids = st.from_regex(r"[0-9a-f]{32}", fullmatch=True)


@given(ids, ids, st.binary(min_size=16, max_size=64))
def test_a_token_fits_its_answer_and_no_other_model_or_key(one, other, key):
    tokens = Tokens(key, "ranker")
    assert tokens.fits(one, tokens.of(one))
    assert tokens.fits(other, tokens.of(one)) is (one == other)
    assert not Tokens(key, "other").fits(one, tokens.of(one))
    assert not Tokens(key + b"x", "ranker").fits(one, tokens.of(one))
    assert tokens.fits(one, "ö") is False


def test_the_key_is_made_once_for_its_owner_alone_and_survives(tmp_path):
    settings = Settings(home=tmp_path, shop="simulated")
    old = os.umask(0)
    try:
        first = tokens_of(settings, "ranker").of(ID)
    finally:
        os.umask(old)
    path = key_path(settings, "ranker")
    assert path == settings.model_home("ranker") / "serving" / "feedback.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["feedback.key"]
    assert tokens_of(settings, "ranker").of(ID) == first
    assert tokens_of(settings, "another").of(ID) != first


TRY = """
import sys, time
from pathlib import Path
from serving.http.feedback_token import shared_key
go = Path(sys.argv[1])
print("ready", flush=True)
while not go.exists():
    pass
print(shared_key(go.with_name("feedback.key")).hex())
"""


def test_of_processes_that_start_at_once_all_have_the_same_key(tmp_path):
    command = [sys.executable, "-c", TRY, str(tmp_path / "go")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT) for _ in range(4)]
    for each in running:
        assert each.stdout.readline() == "ready\n"
    (tmp_path / "go").touch()
    assert {each.communicate()[0].strip() for each in running} == {shared_key(tmp_path / "feedback.key").hex()}
    assert sorted(each.name for each in tmp_path.iterdir()) == ["feedback.key", "go"]


@pytest.mark.parametrize("content", [b"", b"k" * 31, b"k" * 64])
def test_a_file_that_is_no_key_is_named_and_answers_go_on(tmp_path, caplog, content):
    settings = Settings(home=tmp_path, shop="simulated")
    path = key_path(settings, "ranker")
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(KeyFileError, match=r"feedback\.key holds \d+ bytes, a key has 32: remove it"):
        shared_key(path)
    tokens = tokens_of(settings, "ranker")
    assert tokens.fits(ID, tokens.of(ID))
    assert "feedback is taken only by the process that gave the answer" in caplog.text
    assert path.read_bytes() == content


def test_a_folder_that_cannot_be_written_stops_nobody(tmp_path):
    settings = Settings(home=tmp_path / "home", shop="simulated")
    settings.home.write_text("a file where a folder should be")
    tokens = tokens_of(settings, "ranker")
    assert tokens.fits(ID, tokens.of(ID))


def test_a_key_in_the_settings_is_used_and_shown_nowhere(tmp_path):
    secret = "s3cret-s3cret-s3cret"
    settings = load_settings({"ML_ASSETS_HOME": str(tmp_path), "ML_ASSETS_FEEDBACK_KEY": secret})
    assert settings.feedback_key == SecretStr(secret)
    assert tokens_of(settings, "ranker").of(ID) == Tokens(secret.encode(), "ranker").of(ID)
    assert not key_path(settings, "ranker").exists()
    assert secret not in repr(settings)
    with pytest.raises(ConfigError, match="ML_ASSETS_FEEDBACK_KEY") as caught:
        load_settings({"ML_ASSETS_FEEDBACK_KEY": "too short"})
    assert "too short" not in str(caught.value)
