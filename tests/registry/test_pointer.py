from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_assets.config.settings import Settings
from ml_assets.registry.back import roll_back
from ml_assets.registry.history import change_pointer, deployments, served_before, write_pointer
from ml_assets.registry.pointer import (
    Pointer,
    PointerError,
    make_pointer,
    pointer_path,
    read_pointer,
    require_pointer,
    sha256_folder,
)
from ml_assets.registry.versions import publish_version

Make = Callable[..., Pointer]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Pointers to real versions, by their text, and real indexes."""
    settings = Settings(home=tmp_path_factory.mktemp("files"), shop="simulated")
    online = settings.home / "online.db"
    online.write_bytes(b"sqlite")

    @cache
    def pointer(version: str, index: str = "i", day: int = 5) -> Pointer:
        ref = publish_version(
            settings, "recommender", f"{version}\n", "run", features=("a",), params={}, training_set="t", metrics={},
            created_from={},
        )  # fmt: skip
        folder = settings.home / "indexes" / index
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "arrays").write_text(index)
        return make_pointer(
            model_name="recommender", model_version=ref.version, version_folder=ref.path, index_folder=folder,
            online_store=online, as_of=datetime(2011, 12, day), deployed_at=datetime(2011, 12, day, 1),
        )  # fmt: skip

    return pointer


def text(pointer: Pointer | None) -> str:
    """The text of the version a pointer names."""
    assert pointer is not None
    return pointer.booster.read_text().strip()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return pointer_path(Settings(home=tmp_path, shop="simulated"), "recommender")


def test_the_pointer_is_replaced_and_the_one_before_returned(path: Path, make: Make):
    assert read_pointer(path) is None
    assert write_pointer(path, make("a")) is None
    assert write_pointer(path, make("b")) == make("a")
    assert read_pointer(path) == make("b")
    assert not list(path.parent.glob("*.tmp"))


def test_rolling_back_goes_to_the_version_before_with_the_current_index(path: Path, make: Make):
    for pointer in (make("a"), make("b"), make("b", "j", 6)):
        write_pointer(path, pointer)
    back = roll_back(path, "errors")
    assert back == read_pointer(path)
    assert text(back) == "a"
    assert (back.index_sha256, back.as_of) == (make("b", "j", 6).index_sha256, datetime(2011, 12, 6))
    assert back.deployed_at.tzinfo is UTC


def test_rolling_back_twice_goes_two_versions_back(path: Path, make: Make):
    for version in "abc":
        write_pointer(path, make(version))
    assert text(roll_back(path, "errors")) == "b"
    write_pointer(path, require_pointer(path).model_copy(update={"as_of": datetime(2011, 12, 7)}))  # a refresh
    assert text(roll_back(path, "errors")) == "a"
    with pytest.raises(LookupError, match="no earlier version"):
        roll_back(path, "errors")
    assert text(read_pointer(path)) == "a"


def test_a_deployment_after_a_rollback_can_be_rolled_back(path: Path, make: Make):
    for version in "ab":
        write_pointer(path, make(version))
    roll_back(path, "errors")
    write_pointer(path, make("c"))
    assert text(roll_back(path, "errors")) == "a"


def test_a_deployment_killed_before_the_swap_is_not_rolled_back_to(path: Path, make: Make):
    for version in "ab":
        write_pointer(path, make(version))
    served = path.read_bytes()
    write_pointer(path, make("c"))
    path.write_bytes(served)  # noted in the history, never swapped in
    assert served_before(path) == [make("a")]
    write_pointer(path, make("d"))
    assert [text(each.pointer) for each in deployments(path)] == ["a", "b", "d"]
    assert text(roll_back(path, "errors")) == "b"


def test_a_broken_pointer_can_be_written_over_and_rolled_back(path: Path, make: Make):
    write_pointer(path, make("a"))
    path.write_text("{")
    assert text(roll_back(path, "it does not read")) == "a"
    path.write_text("{")
    assert write_pointer(path, make("b")) is None
    assert read_pointer(path) == make("b")


def test_a_change_is_of_what_is_current_and_nothing_less(path: Path, make: Make):
    with pytest.raises(PointerError, match="nothing has been deployed"):
        change_pointer(path, lambda now: now, "change")
    write_pointer(path, make("a"))
    changed = change_pointer(path, lambda now: now.model_copy(update={"as_of": datetime(2011, 12, 9)}), "refreshed")
    assert changed == read_pointer(path) == make("a").model_copy(update={"as_of": datetime(2011, 12, 9)})

    def refuse(now: Pointer) -> Pointer:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        change_pointer(path, refuse, "change")
    assert read_pointer(path) == changed
    assert [each.reason for each in deployments(path)] == ["deployed", "refreshed"]


@settings(deadline=None, max_examples=40)
@given(acts=st.lists(st.sampled_from(["a", "b", "c", "killed", "back"]), max_size=9))
def test_whatever_happens_the_history_tells_what_served(make: Make, acts: list[str]):
    with tempfile.TemporaryDirectory() as folder:
        path, served, stack = Path(folder) / "pointer.json", ["a"], ["a"]
        write_pointer(path, make("a"))
        for number, act in enumerate(acts):
            if act == "back":
                earlier = [version for version in stack if version != stack[-1]]
                if not earlier:
                    with pytest.raises(LookupError):
                        roll_back(path, "back")
                    continue
                while stack[-1] != earlier[-1]:
                    stack.pop()
                assert text(roll_back(path, "back")) == stack[-1]
                served.append(stack[-1])
            elif act == "killed":
                before = path.read_bytes()
                write_pointer(path, make("d").model_copy(update={"as_of": datetime(2012, 1, 1 + number)}))
                path.write_bytes(before)
            else:
                write_pointer(path, make(act).model_copy(update={"as_of": datetime(2012, 1, 1 + number)}))
                stack.append(act)
                served.append(act)
        assert [text(each.pointer) for each in deployments(path)] == served
        assert text(read_pointer(path)) == served[-1]


def test_a_folders_hash_is_of_names_and_contents(tmp_path: Path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text("x")
    assert sha256_folder(tmp_path / "one") == sha256_folder(tmp_path / "two")
    (tmp_path / "two" / "a").rename(tmp_path / "two" / "b")
    assert sha256_folder(tmp_path / "one") != sha256_folder(tmp_path / "two")
