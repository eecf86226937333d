"""The prediction log: complete, readable, bounded; it never holds up a request."""

import threading

import numpy as np
from log_lines import read_lines, wait_until

from ml_assets.storage.log_layout import Rotation
from serving.log import free_space
from serving.log.prediction_log import PredictionLog

NAMES = ("retrieval__own", "product__price")


def record(number: int, names: tuple[str, ...] = NAMES) -> dict:
    return {
        "prediction_id": str(number),
        "products": ["p1", "p2"],
        "scores": np.array([0.5, 0.25], dtype=np.float32),
        "features": np.array([[number, np.nan], [0.1, 2.0]], dtype=np.float32),
        "feature_names": names,
    }


def test_what_was_put_is_read_back_exactly(tmp_path):
    log = PredictionLog(tmp_path)
    assert all(log.put(record(number)) for number in range(500))
    log.close()
    read = list(read_lines(tmp_path))
    assert [line["prediction_id"] for line in read] == [str(number) for number in range(500)]
    assert read[3]["feature_names"] == list(NAMES)
    again = np.array(read[3]["features"], dtype=np.float32)
    assert np.array_equal(again, record(3)["features"], equal_nan=True)


def test_each_line_refers_to_its_own_models_features(tmp_path):
    log = PredictionLog(tmp_path)
    log.put(record(1))
    log.put(record(2, ("other", "names")))
    log.close()
    assert [line["feature_names"] for line in read_lines(tmp_path)] == [list(NAMES), ["other", "names"]]


def test_lines_without_features_say_so_or_nothing(tmp_path):
    log = PredictionLog(tmp_path)
    log.put({"kind": "prediction", "feature_names": None, "features": []}, {"kind": "refusal", "status": 422})
    log.close()
    assert list(read_lines(tmp_path)) == [
        {"kind": "prediction", "features": [], "features_id": None},
        {"kind": "refusal", "status": 422},
    ]


def test_records_put_together_are_taken_together_or_not_at_all(tmp_path, monkeypatch):
    release, dropped = threading.Event(), []
    log = PredictionLog(tmp_path, capacity=3, dropped=dropped.append)
    monkeypatch.setattr(log, "_write", lambda batch, write=log._write: (release.wait(10), write(batch)))
    log.put(record(0))
    wait_until(lambda: log.waiting() == 0)
    assert log.put(record(1), record(2))
    assert not log.put(record(3), record(4))
    assert dropped == [2]
    release.set()
    log.close()
    assert [line["prediction_id"] for line in read_lines(tmp_path)] == ["0", "1", "2"]


def test_segments_rotate_by_size_and_by_age_and_lose_nothing(tmp_path):
    for name, rotation in {"size": Rotation(max_bytes=1), "age": Rotation(max_seconds=0.0)}.items():
        log = PredictionLog(tmp_path / name, rotation=rotation)
        for number in range(5):
            log.put(record(number))
            wait_until(lambda folder=tmp_path / name, lines=number + 1: len(list(read_lines(folder))) == lines)
        log.close()
        assert len(list((tmp_path / name).glob("*.jsonl"))) > 1
        assert len(list(read_lines(tmp_path / name))) == 5


def test_a_full_queue_drops_and_counts_instead_of_waiting(tmp_path, monkeypatch):
    release, dropped, written = threading.Event(), [], []
    log = PredictionLog(tmp_path, capacity=3, dropped=dropped.append, written=written.append)
    monkeypatch.setattr(log, "_write", lambda batch, write=log._write: (release.wait(10), write(batch)))
    taken = sum(log.put(record(number)) for number in range(300))
    assert 3 <= taken < 300
    assert sum(dropped) == 300 - taken
    release.set()
    log.close()
    assert sum(written) == taken == len(list(read_lines(tmp_path)))


def test_a_disk_that_refuses_is_counted_and_logging_goes_on_when_it_recovers(tmp_path):
    folder, dropped = tmp_path / "log", []
    folder.write_text("a file where the folder is to be")
    log = PredictionLog(folder, dropped=dropped.append)
    log.put(record(1))
    wait_until(lambda: dropped == [1])
    folder.unlink()
    log.put(record(2))
    log.close()
    assert [line["prediction_id"] for line in read_lines(folder)] == ["2"]


def test_it_says_what_keeps_lines_from_being_written_and_when_that_is_over(tmp_path, caplog):
    folder, said = tmp_path / "log", []
    folder.write_text("a file where the folder is to be")
    log = PredictionLog(folder, looked=said.append)
    for number in range(5):
        log.put(record(number))
        wait_until(lambda: log.waiting() == 0)
    wait_until(lambda: said and said[-1])
    folder.unlink()
    log.put(record(9))
    wait_until(lambda: said[-1] is None)
    log.close()
    assert set(said) == {None, f"{folder} takes no lines: File exists"}
    assert [each.levelname for each in caplog.records].count("ERROR") == 1, "not once a line"


def test_nothing_is_logged_to_a_disk_that_is_nearly_full_until_it_has_room_again(tmp_path, monkeypatch):
    dropped, said = [], []
    with monkeypatch.context() as full:
        full.setattr(free_space, "LIMIT_BYTES", 2**62)
        full.setattr(free_space, "LIMIT_SHARE", 1.0)
        log = PredictionLog(tmp_path / "log", dropped=dropped.append, looked=said.append)
        log.put(record(1), record(2))
        wait_until(lambda: sum(dropped) == 2)
        assert not log.write([record(3)])
        wait_until(lambda: said and "nothing is logged until" in said[-1])
        assert not (tmp_path / "log").exists(), "not a file, not a folder"
    wait_until(lambda: said[-1] is None)
    log.put(record(4))
    log.close()
    assert [line["prediction_id"] for line in read_lines(tmp_path / "log")] == ["4"]


def test_the_limit_is_a_share_of_a_small_disk_and_fixed_on_a_large_one():
    assert free_space.limit_of(100 * 2**20) == 5 * 2**20
    assert free_space.limit_of(2**40) == 256 * 2**20


def test_a_torn_last_line_is_skipped(tmp_path):
    log = PredictionLog(tmp_path)
    for number in range(3):
        log.put(record(number))
    log.close()
    (segment,) = tmp_path.glob("*.jsonl")
    segment.write_bytes(segment.read_bytes()[:-20])
    assert [line["prediction_id"] for line in read_lines(tmp_path)] == ["0", "1"]
