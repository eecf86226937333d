"""Work in processes forked from this one, which has imported what they need and opens nothing itself."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

Work = Callable[[], object]


def forked(work: Work, log: Path) -> int:
    """A process that does the work and says by its status whether it ended well: False and exceptions are not well."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        with log.open("a") as written:
            os.dup2(written.fileno(), 1)
            os.dup2(written.fileno(), 2)
            status = int(work() is False)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def undisturbed(work: Work, log: Path) -> float:
    """Do the work in a process of its own; the seconds it took.

    Raises:
        RuntimeError: when it does not end well.
    """
    began = time.monotonic()
    sys.stdout.flush()
    status = os.waitstatus_to_exitcode(os.waitpid(forked(work, log), 0)[1])
    if status:
        raise RuntimeError(f"it ends with {status} where nobody is killed: see {log}")
    return time.monotonic() - began
