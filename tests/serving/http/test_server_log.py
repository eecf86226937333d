"""The server's log: bounded while its writers write on."""

import subprocess
import sys

from log_lines import wait_until

from ml_assets.config.settings import PROJECT
from serving.http.server_log import shorten


def test_a_small_log_is_left_alone(tmp_path):
    log = tmp_path / "server.log"
    shorten(log)
    log.write_text("few\n")
    shorten(log)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["few\n"]


def test_a_large_one_is_moved_and_its_writer_goes_on_at_the_beginning(tmp_path):
    log = tmp_path / "server.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"old\n" * 1000)
        shorten(log, max_bytes=100)
        writer.write(b"new\n")
    assert log.read_text() == "new\n"
    assert (tmp_path / "server.log.1").read_text() == "old\n" * 1000


def test_it_is_emptied_even_if_there_is_no_room_for_a_copy(tmp_path):
    log = tmp_path / "server.log"
    log.write_bytes(b"old\n" * 1000)
    (tmp_path / "server.log.1" / "a folder in its place").mkdir(parents=True)
    shorten(log, max_bytes=100)
    assert log.read_bytes() == b""


def test_a_process_looks_after_the_log_that_it_prints_to_and_no_other(tmp_path):
    code = (
        "import sys, time, serving.http.server_log as it; from pathlib import Path; "
        "it.PAUSE, it.shorten.__defaults__ = 0.05, (100,); "
        "it.ServerLog(Path(sys.argv[1])).start(); print('x' * 1000, flush=True); time.sleep(60)"
    )
    own, other = tmp_path / "own.log", tmp_path / "other.log"
    other.write_text("x" * 1000)
    running = []
    for log, output in ((own, own), (other, tmp_path / "elsewhere.log")):
        with output.open("ab") as opened:
            running.append(subprocess.Popen([sys.executable, "-c", code, log], cwd=PROJECT, stdout=opened))
    try:
        wait_until(lambda: (tmp_path / "own.log.1").exists() and own.stat().st_size == 0)
        assert other.stat().st_size == 1000
    finally:
        for each in running:
            each.kill()
            each.wait()
