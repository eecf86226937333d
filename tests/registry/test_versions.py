from __future__ import annotations

import json
from pathlib import Path

import pytest

from ml_assets.config.settings import Settings
from ml_assets.registry.versions import (
    CorruptedVersionError,
    list_versions,
    load_version,
    publish_version,
    seal_version,
)


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


def test_a_version_without_a_seal_is_refused_until_it_is_sealed(settings: Settings):
    ref = publish(settings)
    (ref.path / "model.json.sha256").unlink()
    with pytest.raises(CorruptedVersionError, match=f"python -m ml_assets seal {ref.version} --model recommender"):
        load_version(ref.path)
    assert seal_version(ref.path) == ref == load_version(ref.path)
    assert seal_version(ref.path) == ref


def test_what_has_another_address_or_another_seal_is_not_sealed(settings: Settings):
    ref = publish(settings)
    seal = ref.path / "model.json.sha256"
    described = json.loads((ref.path / "model.json").read_text())
    (ref.path / "model.json").write_text(json.dumps(described | {"metrics": {"x": 0.9}}))
    with pytest.raises(CorruptedVersionError, match="not what version"):
        seal_version(ref.path)
    seal.unlink()
    (ref.path / "model.json").write_text(json.dumps(described | {"features": ["b"]}))
    with pytest.raises(CorruptedVersionError, match="not what version"):
        seal_version(ref.path)
    other = ref.path.rename(ref.path.with_name("0123456789ab"))
    (other / "model.json").write_text(json.dumps(described))
    with pytest.raises(CorruptedVersionError, match="not the folder of that version"):
        seal_version(other)
    assert not (other / seal.name).exists()
