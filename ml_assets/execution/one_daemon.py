"""One daemon for each Dagster instance: two of them would run every sensor and schedule twice.

The daemon holds a lock for as long as it lives, however it was started; the kernel frees it.
"""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path
from typing import IO

from ml_assets.config.yaml_file import ConfigError

_held: list[IO[str]] = []
"""The lock of this process, open until it ends."""


def is_daemon() -> bool:
    """Whether this process is Dagster's daemon: `dagster-daemon run`, or `python -m dagster._daemon run`."""
    program = Path(sys.argv[0])
    return "run" in sys.argv[1:2] and (program.name == "dagster-daemon" or program.parent.name == "_daemon")


def hold(home: Path) -> None:
    """Be the daemon of the instance in `home` until this process ends.

    Raises:
        ConfigError: when another process is.
    """
    if _held:
        return
    lock = (home / ".daemon.lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        lock.close()
        raise ConfigError(
            f"Dagster's daemon of {home} runs already (process {holder}): a second one would run every sensor twice. "
            "Look at its pages, or stop it first: `make stop`, or `systemctl stop ml-assets-daemon ml-assets-web`."
        ) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    _held.append(lock)


def require_no_daemon(home: Path) -> None:
    """Refuse to start another daemon.

    Raises:
        ConfigError: when one runs.
    """
    hold(home)
    _held.pop().close()
