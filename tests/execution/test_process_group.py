"""What a command starts ends with it: by SIGTERM, then SIGKILL, whoever ignores what."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from ml_assets.config.settings import PROJECT
from ml_assets.execution.process_group import end_noted, members, own_group

STUBBORN = """
import os, signal, subprocess, sys, time
if sys.argv[1] == "child":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    subprocess.Popen([sys.executable, "-c", open(sys.argv[2]).read(), "child"])
    print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN, flush=True)
time.sleep(600)
"""
COMMAND = """
import signal, sys
from pathlib import Path
from ml_assets.__main__ import _end
from ml_assets.execution.process_group import own_group
signal.signal(signal.SIGTERM, _end)
note, script = Path(sys.argv[1]), sys.argv[2]
with own_group([sys.executable, "-c", open(script).read(), "first", script], note=note, grace=0.5) as process:
    process.wait()
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "stubborn.py"
    path.write_text(STUBBORN)
    return path


def session_in(note: Path, count: int) -> list[psutil.Process]:
    """The processes of a noted session, once there are so many."""
    found: list[psutil.Process] = []
    while len(found) < count:
        time.sleep(0.05)
        if note.exists():
            found = members(int(note.read_text().split(":")[1].split(",")[0]))
    return found


def test_a_command_in_the_background_leaves_nothing_behind(tmp_path: Path, script: Path) -> None:
    note = tmp_path / "note.json"
    command = ["sh", "-c", 'trap \'\' INT; exec "$0" "$@"', sys.executable, "-c", COMMAND, str(note), str(script)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "False\n", "what it starts does not ignore SIGINT"
        family = session_in(note, 2)
        process.send_signal(signal.SIGINT)  # ignored
        process.terminate()
        assert process.wait(60) == 128 + signal.SIGTERM
    assert [each.pid for each in family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE] == []
    assert not note.exists()


def test_a_block_that_fails_ends_it_too(tmp_path: Path, script: Path) -> None:
    note = tmp_path / "note.json"
    with pytest.raises(KeyError), own_group([sys.executable, str(script), "first", str(script)], note=note, grace=0.5):
        family = session_in(note, 2)
        raise KeyError
    assert not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in family)


def test_what_a_killed_command_left_is_ended_by_its_note(tmp_path: Path) -> None:
    note = tmp_path / "note.json"
    left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    created = psutil.Process(left.pid).create_time()
    note.write_text(f'{{"session": {left.pid}, "created": {created - 5}}}')
    assert not end_noted(note), "the number belongs to another process now"
    assert left.poll() is None
    note.write_text(f'{{"session": {left.pid}, "created": {created}}}')
    assert end_noted(note)
    assert left.wait(10) == -signal.SIGTERM
    assert not end_noted(note)
