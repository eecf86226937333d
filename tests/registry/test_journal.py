from __future__ import annotations

import multiprocessing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.registry import journal


def test_entries_are_read_in_order_and_old_bytes_never_change(tmp_path: Path):
    path = tmp_path / "journal.jsonl"
    before = b""
    for at in range(4):
        journal.append(path, {"event": f"e{at}"}, datetime(2011, 12, 1, tzinfo=UTC))
        now = path.read_bytes()
        assert now.startswith(before)
        before = now
    assert [(entry["n"], entry["event"]) for entry in journal.read(path)] == [(at, f"e{at}") for at in range(4)]
    assert journal.read(path)[0]["at"] == "2011-12-01T00:00:00.000+00:00"


@given(cut=st.integers(1, 200))
def test_a_torn_last_line_loses_only_itself(tmp_path_factory: pytest.TempPathFactory, cut: int):
    path = tmp_path_factory.mktemp("torn") / "journal.jsonl"
    journal.append(path, {"event": "first"})
    whole = path.read_bytes()
    journal.append(path, {"event": "second"})
    torn = path.read_bytes()[: len(whole) + min(cut, len(path.read_bytes()) - len(whole) - 1)]
    path.write_bytes(torn)
    assert [entry["event"] for entry in journal.read(path)] == ["first"]
    journal.append(path, {"event": "third"})
    assert [entry["event"] for entry in journal.read(path)] == ["first", "third"]
    assert path.read_bytes().startswith(whole)


def test_an_altered_line_is_noticed_and_named(tmp_path: Path):
    path = tmp_path / "journal.jsonl"
    for event in ("kept", "promoted", "kept"):
        journal.append(path, {"event": event})
    path.write_bytes(path.read_bytes().replace(b"promoted", b"demoted"))
    with pytest.raises(journal.BrokenJournalError, match="line 3"):
        journal.read(path)
    with pytest.raises(journal.BrokenJournalError):
        journal.append(path, {"event": "late"})


def test_a_removed_line_is_noticed(tmp_path: Path):
    path = tmp_path / "journal.jsonl"
    for event in ("a", "b", "c"):
        journal.append(path, {"event": event})
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[2])
    with pytest.raises(journal.BrokenJournalError, match="line 2"):
        journal.read(path)


def _write(path: Path, name: str) -> None:
    for at in range(10):
        journal.append(path, {"event": f"{name}{at}"})


def test_two_writers_lose_nothing(tmp_path: Path):
    path = tmp_path / "journal.jsonl"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(path, name)) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(entry["event"] for entry in journal.read(path)) == sorted(
        f"{n}{at}" for n in "ab" for at in range(10)
    )
