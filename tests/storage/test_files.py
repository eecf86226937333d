"""What is published appears whole or not at all."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from killed_at import killed_at_each_step

from ml_assets.storage import files
from ml_assets.storage.files import publish_folder, replace_file, sha256_file, write_text_atomically


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "kept.txt"
    write_text_atomically(path, "old")
    with pytest.raises(RuntimeError), replace_file(path) as aside:
        aside.write_text("half of the n")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_folder_is_not_published(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), publish_folder(tmp_path / "out") as aside:
        (aside / "part").write_text("x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_the_first_publisher_of_a_name_wins(tmp_path: Path) -> None:
    for text in ("first", "second"):
        with publish_folder(tmp_path / "out") as aside:
            (aside / "part").write_text(text)
    assert (tmp_path / "out" / "part").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@settings(max_examples=25)
@given(first=st.binary(max_size=50), second=st.binary(max_size=50))
def test_equal_bytes_have_equal_hashes(tmp_path_factory: pytest.TempPathFactory, first: bytes, second: bytes) -> None:
    folder = tmp_path_factory.mktemp("hashes")
    (folder / "a").write_bytes(first)
    (folder / "b").write_bytes(second)
    assert (sha256_file(folder / "a") == sha256_file(folder / "b")) == (first == second)


@pytest.mark.parametrize("publish", [replace_file, publish_folder])
def test_what_is_published_is_on_the_disk_before_it_has_its_name(tmp_path: Path, publish, monkeypatch) -> None:
    happened: list[tuple[str, str]] = []
    fsync, rename, replace = os.fsync, Path.rename, Path.replace

    def synced(number: int) -> None:
        happened.append(("sync", Path(f"/proc/self/fd/{number}").readlink().name))
        fsync(number)

    def named(act):
        def noted(self: Path, target: Path) -> Path:
            happened.append(("name", target.name))
            return act(self, target)

        return noted

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "rename", named(rename))
    monkeypatch.setattr(Path, "replace", named(replace))
    with publish(tmp_path / "out") as aside:
        if publish is publish_folder:
            (aside / "inner").mkdir()
            (aside / "inner" / "part").write_text("x")
            (aside / "other").write_text("y")
        else:
            aside.write_text("x")
    written = {"part", "inner", "other", aside.name} if publish is publish_folder else {aside.name}
    at = happened.index(("name", "out"))
    assert {name for what, name in happened[:at] if what == "sync"} == written
    assert happened[at + 1 :] == [("sync", tmp_path.name)]


@pytest.mark.parametrize("publish", [replace_file, publish_folder])
def test_a_killed_writer_leaves_the_old_or_the_new_and_what_it_set_aside_goes_later(tmp_path: Path, publish):
    folder = tmp_path / "folder"

    def write() -> None:
        with publish(folder / "out") as aside:
            (aside if publish is replace_file else aside / "part").write_text("new")

    def said() -> str | None:
        path = folder / "out" if publish is replace_file else folder / "out" / "part"
        return path.read_text() if path.exists() else None

    moments = 0
    for _ in killed_at_each_step(
        lambda moment: (folder / "out").unlink() if (folder / "out").is_file() else None, write
    ):
        moments += 1
        assert said() in {None, "new"}
    assert moments > 3
    assert said() == "new"
    young = [path for path in folder.iterdir() if path.name != "out"]
    assert young, "a kill leaves what was set aside"
    for path in young:
        for each in (*path.rglob("*"), path):
            os.utime(each, (time.time() - files.LEFT_SECONDS - 60,) * 2)
    busy = folder / f".busy.{'0' * 32}.tmp"
    busy.mkdir()
    (busy / "part").touch()
    os.utime(busy, (0, 0))
    (folder / ".somebody.else.tmp").touch()
    os.utime(folder / ".somebody.else.tmp", (0, 0))
    files.sweep.cache_clear()
    write()
    assert {path.name for path in folder.iterdir()} == {"out", busy.name, ".somebody.else.tmp"}
