"""Imported by the fork server, and nowhere else: a step ends with its run.

A step whose run was killed would work on unseen, and hold what the next run needs. What was killed is as safe as what
ended: nothing is published but whole.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from multiprocessing.connection import wait

_SERVER = os.getpid()


def _watch() -> None:
    """Wait for the end of the process that asked for this one, and end at once."""
    while (asked_by := multiprocessing.parent_process()) is None:  # it is known when the fork has unpacked its order
        time.sleep(0.05)
    wait([asked_by.sentinel])
    os.kill(os.getpid(), signal.SIGKILL)


def _bind() -> None:
    if os.getppid() == _SERVER:  # a step, and not what the step starts
        threading.Thread(target=_watch, name="ends_with_its_run", daemon=True).start()


os.register_at_fork(after_in_child=_bind)
