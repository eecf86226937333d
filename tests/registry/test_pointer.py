from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from ml_assets.registry.pointer import (
    Pointer,
    pointer_path,
    read_pointer,
    roll_back,
    served_before,
    sha256_folder,
    write_pointer,
)
from ml_assets.settings import Settings


def pointer(version: str, minute: int = 0) -> Pointer:
    return Pointer(
        model_version=version,
        model_path=Path("/models") / version,
        model_sha256="0" * 64,
        index_path=Path("/index"),
        index_sha256="1" * 64,
        online_store=Path("/online.db"),
        as_of=datetime(2011, 12, 5),
        deployed_at=datetime(2011, 12, 5, 1, minute),
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return pointer_path(Settings(home=tmp_path, shop="simulated"), "recommender")


def test_the_pointer_is_replaced_and_the_one_before_returned(path: Path):
    assert read_pointer(path) is None
    assert write_pointer(path, pointer("a")) is None
    assert write_pointer(path, pointer("b")) == pointer("a")
    assert read_pointer(path) == pointer("b")
    assert not list(path.parent.glob("*.tmp"))


def test_rolling_back_twice_goes_two_back(path: Path):
    for version in "abc":
        write_pointer(path, pointer(version))
    assert roll_back(path, "errors") == pointer("b")
    assert roll_back(path, "errors") == pointer("a")
    assert read_pointer(path) == pointer("a")
    with pytest.raises(LookupError, match="no earlier deployment"):
        roll_back(path, "errors")


def test_a_deployment_after_a_rollback_can_be_rolled_back(path: Path):
    for version in "ab":
        write_pointer(path, pointer(version))
    roll_back(path, "errors")
    write_pointer(path, pointer("c"))
    assert roll_back(path, "errors") == pointer("a")


def test_a_deployment_killed_before_the_swap_is_not_rolled_back_to(path: Path):
    for version in "ab":
        write_pointer(path, pointer(version))
    served = path.read_bytes()
    write_pointer(path, pointer("c"))
    path.write_bytes(served)  # noted in the history, never swapped in
    assert served_before(path) == [pointer("a")]
    assert roll_back(path, "errors") == pointer("a")


def test_a_folders_hash_is_of_names_and_contents(tmp_path: Path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text("x")
    assert sha256_folder(tmp_path / "one") == sha256_folder(tmp_path / "two")
    (tmp_path / "two" / "a").rename(tmp_path / "two" / "b")
    assert sha256_folder(tmp_path / "one") != sha256_folder(tmp_path / "two")
