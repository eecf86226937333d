"""What a pointer names is checked before it serves, and every error says what is wrong and where."""

import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.registry.history import write_pointer
from ml_assets.registry.pointer import Pointer, PointerError, make_pointer, require_pointer, verify_pointer

MIDNIGHT = datetime(2026, 3, 2)


@pytest.fixture
def pointer(tmp_path: Path) -> Pointer:
    version, index = tmp_path / "versions" / "v1", tmp_path / "index"
    version.mkdir(parents=True)
    index.mkdir()
    (version / "booster.txt").write_text("tree\n")
    (index / "arrays.npz").write_bytes(b"\x00\x01")
    (tmp_path / "online.db").write_bytes(b"sqlite")
    return make_pointer(
        model_name="ranker",
        model_version="v1",
        version_folder=version,
        index_folder=index,
        online_store=tmp_path / "online.db",
        as_of=MIDNIGHT,
        deployed_at=MIDNIGHT,
    )


def test_what_is_written_is_read_and_verifies(pointer, tmp_path):
    write_pointer(tmp_path / "pointer.json", pointer)
    assert require_pointer(tmp_path / "pointer.json") == pointer
    verify_pointer(pointer)


@given(as_of=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)), version=st.text(min_size=1))
def test_round_trip_of_any_time_and_version(as_of, version):
    pointer = Pointer(
        model_version=version,
        model_path=Path("/models/v"),
        model_sha256="0" * 64,
        index_path=Path("/index"),
        index_sha256="f" * 64,
        online_store=Path("/online.db"),
        as_of=as_of,
        deployed_at=as_of,
    )
    assert Pointer.model_validate_json(pointer.model_dump_json()) == pointer


def test_a_time_without_a_zone_is_utc(pointer):
    zoned = pointer.model_copy(update={"as_of": MIDNIGHT.replace(tzinfo=UTC)})
    assert pointer.now == zoned.now == MIDNIGHT.replace(tzinfo=UTC).timestamp()


def test_a_missing_pointer_says_that_nothing_is_deployed(tmp_path):
    with pytest.raises(PointerError, match="nothing has been deployed"):
        require_pointer(tmp_path / "pointer.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_sha256": 7}, "model_sha256"),
        ({"as_of": "yesterday"}, "as_of"),
        ({"surprise": 1}, "surprise"),
        ({"model_version": None}, "model_version"),
    ],
)
def test_a_wrong_key_is_named(pointer, tmp_path, change, message):
    path = tmp_path / "pointer.json"
    path.write_text(json.dumps(json.loads(pointer.model_dump_json()) | change))
    with pytest.raises(PointerError, match=message):
        require_pointer(path)


def test_half_a_pointer_is_an_error_not_a_crash(pointer, tmp_path):
    path = tmp_path / "pointer.json"
    path.write_text(pointer.model_dump_json()[:40])
    with pytest.raises(PointerError, match="Invalid JSON"):
        require_pointer(path)


def test_a_changed_model_is_named(pointer):
    pointer.booster.write_text("another tree\n")
    with pytest.raises(PointerError, match=r"model file .*booster\.txt is not what was deployed"):
        verify_pointer(pointer)


def test_a_changed_or_added_index_file_is_seen(pointer):
    (pointer.index_path / "more.npz").write_bytes(b"")
    with pytest.raises(PointerError, match="retrieval index"):
        verify_pointer(pointer)
    (pointer.index_path / "more.npz").unlink()
    verify_pointer(pointer)
    (pointer.index_path / "arrays.npz").write_bytes(b"\x00\x02")
    with pytest.raises(PointerError, match="retrieval index"):
        verify_pointer(pointer)


def test_a_missing_online_store_is_named(pointer):
    pointer.online_store.unlink()
    with pytest.raises(PointerError, match="no online store"):
        verify_pointer(pointer)


def test_nothing_can_be_pointed_to_that_is_not_there(pointer, tmp_path):
    with pytest.raises(PointerError, match="no model file"):
        make_pointer(
            model_name="ranker",
            model_version="v2",
            version_folder=tmp_path / "versions" / "v2",
            index_folder=pointer.index_path,
            online_store=pointer.online_store,
            as_of=MIDNIGHT,
            deployed_at=MIDNIGHT,
        )


def test_readers_never_see_a_part_of_a_pointer(pointer, tmp_path):
    path = tmp_path / "pointer.json"
    write_pointer(path, pointer)
    stop, seen, failures = threading.Event(), set(), []

    def follow() -> None:
        while not stop.wait(0.001):
            try:
                seen.add(require_pointer(path).deployed_at)
            except PointerError as error:
                failures.append(error)

    reader = threading.Thread(target=follow)
    reader.start()
    for second in range(30):
        deployed_at = MIDNIGHT + timedelta(seconds=second)
        write_pointer(path, pointer.model_copy(update={"deployed_at": deployed_at}))
    stop.set()
    reader.join()
    assert not failures
    assert seen
