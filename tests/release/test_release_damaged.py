"""Journals that were altered: going back, deploying and answering go on from what reads, and say so."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from release_traffic import NAME, Shop, small_spec

from ml_assets.config.settings import Settings
from ml_assets.journals import damages
from ml_assets.registry.history import history_path
from ml_assets.registry.pointer import pointer_path, require_pointer, verify_pointer
from ml_assets.registry.promote import promotion_journal
from ml_assets.release import Blocked, begin, control, progress, roll_back, served_at, step
from ml_assets.release.ledger import release_journal
from ml_assets.storage import journal

SPEC = small_spec()


@pytest.fixture(autouse=True)
def no_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "pay", lambda settings, spec: None)


def altered(path: Path, at: int, byte: int) -> int | None:
    """Alter one byte; the number of its line, or None when it was that byte already."""
    content = bytearray(path.read_bytes())
    at %= len(content)
    if content[at] == byte:
        return None
    content[at] = byte
    path.write_bytes(content)
    return content[:at].count(b"\n") + 1


@settings(deadline=None, max_examples=150)
@given(at=st.integers(0, 100_000), byte=st.integers(0, 255))
@example(at=0, byte=0)
def test_whatever_byte_of_the_history_is_altered_going_back_works(at: int, byte: int):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(control, "pay", lambda settings, spec: None)
        shop = Shop(Settings(home=Path(folder), shop="simulated", threads=1))
        for version in "abc":
            shop.deploy(version)
        line = altered(history_path(shop.path), at, byte)
        back = roll_back(shop.settings, SPEC, "errors")
        assert shop.serves == "b" or (shop.serves == "a" and line in {1, 2})
        verify_pointer(back)
        assert bool(damages(shop.settings, NAME)) == bool(line)
        ended = [(entry["event"], entry["version"]) for entry in shop.entries]
        assert ended == [("rolled_back", shop.version("c").version)]
        shop.deploy("d")
        assert shop.serves == "d"


@settings(deadline=None, max_examples=60)
@given(at=st.integers(0, 100_000), byte=st.integers(0, 255))
def test_whatever_byte_of_the_release_journal_is_altered_releases_go_on(at: int, byte: int):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(control, "pay", lambda settings, spec: None)
        shop = Shop(Settings(home=Path(folder), shop="simulated", threads=1))
        shop.deploy("a")
        begin(shop.settings, SPEC, shop.version("b").path, "test")
        roll_back(shop.settings, SPEC, "odd")
        shop.deploy("c")
        begin(shop.settings, SPEC, shop.version("d").path, "test")
        line = altered(release_journal(shop.settings, NAME), at, byte)
        progress(shop.settings, NAME)
        step(shop.settings, SPEC)
        served_at(shop.settings, NAME, datetime.now(UTC))
        roll_back(shop.settings, SPEC, "errors")
        assert (shop.serves, shop.release) == ("c", None)
        with pytest.raises(Blocked):
            begin(shop.settings, SPEC, shop.version("d").path, "the daily deployment")
        assert bool(damages(shop.settings, NAME)) == bool(line)


def test_a_line_that_names_no_file_goes_back_to_the_published_version_that_it_means(shop: Shop):
    shop.deploy("b")
    path, a = history_path(shop.path), shop.version("a")
    path.write_text(path.read_text().replace(f'/versions/{a.version}"', '/versions/gone"').replace(a.sha256, "0" * 64))
    assert roll_back(shop.settings, SPEC, "errors").model_path == a.path.resolve()
    assert shop.serves == "a"


def test_a_history_that_does_not_read_at_all_names_the_way_back(shop: Shop):
    shop.deploy("b")
    history_path(shop.path).write_bytes(b"\0" * 100 + b"\n")
    a = shop.version("a").version
    with pytest.raises(LookupError, match=rf"--to VERSION; published, in UTC: .*{a} \(20"):
        roll_back(shop.settings, SPEC, "errors")
    assert roll_back(shop.settings, SPEC, "errors", to=a).model_version == a
    assert [entry["version"] for entry in shop.entries if entry["event"] == "rolled_back"] == [
        shop.version("b").version
    ]


def test_what_served_is_told_from_the_rest_with_the_line_that_was_altered(shop: Shop):
    shop.deploy("b")
    path = history_path(shop.path)
    path.write_bytes(path.read_bytes().replace(b'"reason": "deployed"', b'"reason": "deploxed"', 1))
    found = served_at(shop.settings, NAME, datetime.now(UTC))
    assert found.parts[0].version == shop.version("b").version
    assert f"altered, this is from the rest: {path}, line 1: it was altered" in found.text


def test_a_lost_line_of_a_rollback_is_told_again_from_the_history(shop: Shop):
    shop.deploy("b")
    roll_back(shop.settings, SPEC, "errors")
    shop.deploy("c")
    roll_back(shop.settings, SPEC, "errors too")
    path = release_journal(shop.settings, NAME)
    first, rest = path.read_bytes().split(b"\n", 1)
    path.write_bytes(b"#" * len(first) + b"\n" + rest)
    progress(shop.settings, NAME)
    for version in "bc":
        with pytest.raises(Blocked):
            begin(shop.settings, SPEC, shop.version(version).path, "the daily deployment")


def test_every_journal_is_looked_at(shop: Shop):
    shop.deploy("b")
    roll_back(shop.settings, SPEC, "errors")
    journal.append(promotion_journal(shop.settings, NAME), {"event": "promoted", "version": "v", "reason": "r"})
    paths = [history_path(pointer_path(shop.settings, NAME)), release_journal(shop.settings, NAME)]
    paths.append(promotion_journal(shop.settings, NAME))
    assert damages(shop.settings, NAME) == []
    for path in paths:
        path.write_bytes(path.read_bytes().replace(b'"reason": "', b'"reason": "x'))
    found = damages(shop.settings, NAME)
    assert all(any(str(path) in told for told in found) for path in paths)
    assert require_pointer(shop.path).model_version == shop.version("a").version
