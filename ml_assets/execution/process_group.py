"""Processes that a command starts: a session of their own, ended by SIGTERM, then SIGKILL, and seen to be gone.

A shell has what it starts in the background ignore SIGINT, and Dagster then ignores SIGTERM, too: so what is started
here takes SIGINT as usual, and is never ended by it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from ml_assets.storage.files import write_text_atomically
from ml_assets.storage.processes import birth, is_that

GRACE_SECONDS = 10.0
"""How long processes may take to end by themselves."""
PAUSE = 0.05


class StillThereError(RuntimeError):
    """Processes that were killed are still there; the text says which."""


@contextmanager
def own_group(
    command: Sequence[str], *, note: Path | None = None, grace: float = GRACE_SECONDS, **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in a session of its own for as long as the block lasts; nothing of it is left after it.

    Args:
        command: program and arguments.
        note: file that says which session it is while the block lasts, for `end_noted`.
        grace: seconds that its first process, and then the others, get to end by themselves.
        options: for `subprocess.Popen`.

    Raises:
        StillThereError: when a process outlives being killed.
    """
    with _interruptible():
        process = subprocess.Popen(command, start_new_session=True, **options)
    try:
        if note is not None:
            created = birth(psutil.Process(process.pid))
            write_text_atomically(note, json.dumps({"session": process.pid, "created": created}))
        yield process
    finally:
        with _undisturbed():
            end_group(process.pid, grace)
            process.wait()
            if note is not None:
                note.unlink(missing_ok=True)


def end_noted(note: Path) -> bool:
    """End the session that a note names, and remove the note; whether there was any process of it.

    Raises:
        StillThereError: as `own_group`.
    """
    with suppress(FileNotFoundError, ValueError, KeyError):
        said = json.loads(note.read_text())
        session, created = int(said["session"]), float(said["created"])
        found = psutil.pid_exists(session) and not is_that(psutil.Process(session), created)
        ended = not found and end_group(session)  # else its number was given to another process since
        note.unlink(missing_ok=True)
        return ended
    return False


def end_group(session: int, grace: float = GRACE_SECONDS) -> bool:
    """End a session: its first process, then what that left behind, then by SIGKILL; whether there was any process.

    Raises:
        StillThereError: as `own_group`.
    """
    there = members(session)
    first = [process for process in there if process.pid == session]
    _ask(first, psutil.Process.terminate, session, grace)
    _ask(members(session), psutil.Process.terminate, session, grace)
    _ask(members(session), psutil.Process.kill, session, grace)
    if left := members(session):
        raise StillThereError(f"still there after SIGKILL: {', '.join(str(process.pid) for process in left)}")
    return bool(there)


def members(session: int) -> list[psutil.Process]:
    """The processes of a session that have not ended."""
    found = []
    for process in psutil.process_iter(["status"]):
        with suppress(ProcessLookupError, PermissionError):
            if os.getsid(process.pid) == session and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _ask(processes: list[psutil.Process], how: Any, session: int, grace: float) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            how(process)
    asked, deadline = {process.pid for process in processes}, time.monotonic() + grace
    while asked & {process.pid for process in members(session)} and time.monotonic() < deadline:
        time.sleep(PAUSE)


@contextmanager
def _interruptible() -> Iterator[None]:
    """What is started meanwhile does not ignore SIGINT, whatever this process does."""
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN and _is_main()
    if ignored:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        if ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A second signal does not keep the rest from being ended."""
    kinds = (signal.SIGINT, signal.SIGTERM) if _is_main() else ()
    before = {each: signal.signal(each, signal.SIG_IGN) for each in kinds}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()
