"""What is published appears whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_assets.files import publish_folder, replace_file, sha256_file, write_text_atomically


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
