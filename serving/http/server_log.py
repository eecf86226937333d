"""The server's own log, kept small: what it holds beyond a limit is moved to `server.log.1`, over what was there.

Its writers have it open for appending and go on at its new beginning. A line written in the moment between copying
and emptying is lost.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import threading
from pathlib import Path

from ml_assets.storage.files import replace_file

MAX_BYTES = 16 * 1024 * 1024
PAUSE = 5.0
"""Seconds between two looks."""


def shorten(log: Path, max_bytes: int = MAX_BYTES) -> None:
    """Empty a log that is too large, after copying it aside where the disk allows; one process does, others go on."""
    try:
        with log.open("r+b") as opened:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(opened.fileno()).st_size <= max_bytes:
                return
            try:
                with replace_file(log.with_name(f"{log.name}.1")) as aside:
                    shutil.copyfile(log, aside)
            finally:
                opened.truncate(0)
    except OSError:  # somebody else is at it, there is none, or no room for the copy
        return


class ServerLog:
    """Looks after the log from time to time, in a thread of its own, where this process prints to it."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._closing = threading.Event()

    def start(self) -> None:
        """Begin, unless what this process prints goes elsewhere."""
        try:
            ours = os.path.samestat(os.fstat(sys.__stdout__.fileno()), self._log.stat()) if sys.__stdout__ else False
        except (OSError, ValueError):
            return
        if ours:
            threading.Thread(target=self._run, name="server-log", daemon=True).start()

    def stop(self) -> None:
        """End soon."""
        self._closing.set()

    def _run(self) -> None:
        while not self._closing.wait(PAUSE):
            shorten(self._log)
