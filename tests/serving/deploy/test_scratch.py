"""The scratch folder: in memory if there is any, and never anything else removed."""

import tempfile

import pytest

from serving.deploy import scratch
from serving.deploy.scratch import make_scratch, remove_scratch


@pytest.mark.parametrize("there", [True, False])
def test_it_is_made_where_there_is_room_and_removed(tmp_path, monkeypatch, there):
    memory, temporary = tmp_path / "memory", tmp_path / "temporary"
    temporary.mkdir()
    if there:
        memory.mkdir()
    monkeypatch.setattr(scratch, "MEMORY", memory)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    folder = make_scratch()
    assert folder.parent == (memory if there else temporary)
    assert folder.stat().st_mode & 0o777 == 0o700
    (folder / "a file").touch()
    remove_scratch(folder)
    assert not folder.exists()


def test_a_full_memory_is_not_used(monkeypatch):
    monkeypatch.setattr(scratch, "ROOM", 2**62)
    folder = make_scratch()
    assert folder.parent != scratch.MEMORY
    remove_scratch(folder)


def test_what_is_no_scratch_folder_is_not_removed(tmp_path):
    named = tmp_path / f"{scratch.PREFIX}here"
    named.mkdir()
    for folder in (named, tmp_path):
        remove_scratch(folder)
    assert named.exists()
