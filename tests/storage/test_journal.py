from __future__ import annotations

import hashlib
import json
import multiprocessing
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_assets.storage import journal


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
    with pytest.raises(journal.BrokenJournalError, match="line 2"):
        journal.read(path)


def lines_before_own_hashes(path: Path, *events: str) -> None:
    previous = journal.START
    with path.open("wb") as opened:
        for n, event in enumerate(events):
            line = json.dumps(
                {"n": n, "at": "2026-01-01T00:00:00+00:00", "event": event, "previous": previous}
            ).encode()
            opened.write(line + b"\n")
            previous = hashlib.sha256(line).hexdigest()[:16]


def test_lines_that_have_no_hash_of_their_own_yet_are_read_and_gone_on_from(tmp_path: Path):
    path = tmp_path / "journal.jsonl"
    lines_before_own_hashes(path, "a", "b")
    journal.append(path, {"event": "c"})
    assert [(entry["n"], entry["event"]) for entry in journal.read(path)] == [(0, "a"), (1, "b"), (2, "c")]
    path.write_bytes(path.read_bytes().replace(b'"a"', b'"x"'))
    entries, [problem] = journal.readable(path)
    assert ([entry["event"] for entry in entries], problem.line) == (["x", "b", "c"], 1)
    path.write_bytes(path.read_bytes().replace(b'"c"', b'"x"'))
    assert [problem.line for problem in journal.readable(path)[1]] == [1, 3]


@settings(deadline=None, max_examples=300)
@given(at=st.integers(0, 10_000), byte=st.integers(0, 255), count=st.integers(1, 3))
def test_whatever_byte_is_altered_it_is_noticed_and_the_rest_reads_and_goes_on(at: int, byte: int, count: int):
    with tempfile.TemporaryDirectory() as folder:
        path, events = Path(folder) / "journal.jsonl", ["first", "second", "third"][:count]
        for event in events:
            journal.append(path, {"event": event})
        whole = bytearray(path.read_bytes())
        at %= len(whole)
        if whole[at] == byte:
            return
        hit = whole[:at].count(b"\n")
        whole[at] = byte
        path.write_bytes(whole)
        entries, problems = journal.readable(path)
        assert problems
        others = [event for line, event in enumerate(events) if line != hit]
        assert [entry["event"] for entry in entries if entry.get("event") in others] == others
        with pytest.raises(journal.BrokenJournalError):
            journal.read(path)
        late = journal.append(path, {"event": "late"})
        assert path.read_bytes().startswith(bytes(whole)), "the evidence stays"
        assert late["damaged"] == sorted({problem.line for problem in problems})
        assert late["n"] >= count
        assert "damaged" not in journal.append(path, {"event": "later"})
        again, still = journal.readable(path)
        assert [entry.get("event") for entry in again][-2:] == ["late", "later"]
        assert still == problems


def test_a_line_that_lacks_what_readers_need_is_left_out_only_if_nothing_vouches_for_it(tmp_path: Path):
    path = tmp_path / "journal.jsonl"
    journal.append(path, {"event": "a", "day": "2026-01-01"})
    journal.append(path, {"event": "b"})
    assert len(journal.readable(path, lambda entry: entry["day"])[0]) == 2
    path.write_bytes(path.read_bytes().replace(b'"day"', b'"dax"'))
    entries, problems = journal.readable(path, lambda entry: entry["day"])
    assert [entry["event"] for entry in entries] == ["b"]
    assert [problem.line for problem in problems] == [1, 1]


def test_a_journal_that_cannot_be_read_is_a_problem_of_its_own(tmp_path: Path):
    (tmp_path / "journal.jsonl").mkdir()
    entries, [problem] = journal.readable(tmp_path / "journal.jsonl")
    assert entries == []
    assert "cannot be read" in str(problem)


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


def test_a_torn_end_is_named_and_kept_when_the_next_line_is_written(tmp_path):
    path = tmp_path / "history.jsonl"
    journal.append(path, {"event": "one"})
    journal.append(path, {"event": "two"})
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    found = journal.torn_end(path)
    assert found is not None
    assert found.line == 2
    journal.append(path, {"event": "three"})
    assert [entry["event"] for entry in journal.read(path)] == ["one", "three"]
    assert journal.torn_end(path) is None
    kept = (tmp_path / "history.jsonl.torn").read_bytes()
    assert kept == whole[:-40].split(b"\n")[-1] + b"\n"
