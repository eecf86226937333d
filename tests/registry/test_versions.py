from __future__ import annotations

import json
from pathlib import Path

import pytest

from ml_assets.registry.versions import CorruptedVersionError, list_versions, load_version, publish_version
from ml_assets.settings import Settings


def publish(settings: Settings, text: str = "tree\n", run: str = "r1", **more):
    given = {"features": ("a",), "params": {"num_leaves": 3}, "training_set": "t", "metrics": {"x": 0.5}}
    return publish_version(settings, "recommender", text, run, created_from={"data": "d"}, **{**given, **more})


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, shop="simulated")


def test_equal_content_is_one_version_and_the_first_run_stays_its_author(settings: Settings):
    first = publish(settings)
    assert len(first.version) == 12
    assert publish(settings, run="r2") == first
    assert publish(settings, text="tree\nmore").version != first.version
    assert publish(settings, features=("b",)).version != first.version
    assert len(list_versions(settings, "recommender")) == 3


def test_an_altered_booster_is_refused(settings: Settings):
    ref = publish(settings)
    ref.booster_file.write_text("Tree\n")
    with pytest.raises(CorruptedVersionError, match=r"booster\.txt: SHA-256"):
        load_version(ref.path)


def test_a_booster_swapped_with_its_hash_is_refused(settings: Settings):
    ref, other = publish(settings), publish(settings, text="other\n")
    ref.booster_file.write_text("other\n")
    described = json.loads((ref.path / "model.json").read_text()) | {"sha256": other.sha256}
    (ref.path / "model.json").write_text(json.dumps(described))
    with pytest.raises(CorruptedVersionError, match="not what version"):
        load_version(ref.path)


@pytest.mark.parametrize("text", ["", "{", '{"name": "recommender"}', "[]"])
def test_an_unreadable_description_is_refused(settings: Settings, text: str):
    ref = publish(settings)
    (ref.path / "model.json").write_text(text)
    with pytest.raises(CorruptedVersionError, match="unreadable"):
        load_version(ref.path)


def test_a_missing_version_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="no such model version"):
        load_version(tmp_path / "nothing")
