"""The bento: content-addressed, self-contained, nothing installed."""

import json

import pytest

from ml_assets.config.imports import imported
from ml_assets.config.settings import PROJECT
from ml_assets.registry.versions import CorruptedVersionError
from ml_assets.storage.files import sha256_file
from serving.config import CONFIG, load_config

PUBLISHED = "bento.yaml"


@pytest.fixture(scope="module")
def built(server):
    return server.shop.build(server.versions[0])


def test_the_same_inputs_build_nothing_again(server, built):
    before = (built.path / PUBLISHED).stat().st_mtime_ns
    assert server.shop.build(server.versions[0]) == built
    assert (built.path / PUBLISHED).stat().st_mtime_ns == before


def test_it_lies_in_the_store_under_its_tag(server, built):
    name, _, digest = built.tag.partition(":")
    assert built.path == server.shop.settings.bentoml_home / "bentos" / name / digest
    assert (built.path.parent / "latest").read_text() == digest


def test_the_version_the_index_and_the_settings_are_built_in(server, built):
    baked = built.path / "src" / "baked"
    config = load_config(baked)
    assert config.model_name == "ranker"
    assert config.code == built.code
    assert config.baked.model_version == server.versions[0].version
    assert sha256_file(baked / "version" / "booster.txt") == config.baked.model_sha256
    assert sorted(path.name for path in (baked / "index").iterdir()) == sorted(
        path.name for path in server.shop.index_folder.iterdir()
    )
    assert json.loads((baked / CONFIG).read_text())["k"] == 10


def test_only_what_serving_imports_is_in_it():
    files = {path.relative_to(PROJECT).as_posix() for path in imported("serving.service").values()}
    assert {
        "serving/service.py",
        "serving/model/scorer.py",
        "ml_assets/storage/files.py",
        "ml_assets/config/settings.py",
    } <= files
    assert {"ml_assets/retrieval/index.py", "feature_repo/reader.py"} <= files
    assert not any(name.startswith(("ml_assets/components", "ml_assets/defs", "tests")) for name in files)


def test_nothing_in_it_names_where_it_was_built(server, built):
    text = (built.path / PUBLISHED).read_text() + (built.path / "env/python/requirements.txt").read_text()
    assert str(PROJECT) not in text
    assert "index-url" not in text
    assert "lightgbm==" in text


def test_a_corrupted_version_is_not_built(shop):
    version = shop.version(1)
    version.booster_file.write_text("tree\n")
    with pytest.raises(CorruptedVersionError):
        shop.build(version)
