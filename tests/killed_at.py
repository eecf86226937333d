"""Kill a piece of work at each of its steps on the disk, one after the other: a real SIGKILL, so nothing cleans up."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any

SEEN = ("replace", "rename", "unlink", "link", "symlink", "truncate")
"""What `os` does on the disk that others can see."""
WAITED_FOR = (*SEEN, "mkdir", "fsync")
"""And what was written by then."""
MOST = 500


def killed_at_each_step(
    prepare: Callable[[int], object], work: Callable[[], object], steps: Sequence[str] = WAITED_FOR
) -> Iterator[int]:
    """Prepare and begin the work, and kill it before its n-th step, for n = 1, 2, ... until it ends before that.

    Yields n after each kill: the caller looks at what is left, and does the work again.

    Args:
        prepare: makes a fresh place for the n-th life.
        work: what is killed, in a process forked from this one.
        steps: functions of `os`.

    Raises:
        AssertionError: when the work fails by itself.
    """
    for moment in range(1, MOST):
        prepare(moment)
        child = os.fork()
        if child == 0:
            _die_at(moment, work, steps)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status == 0:
            return
        assert status == -signal.SIGKILL, f"at step {moment} the work ends with {status}"
        yield moment
    raise AssertionError(f"more than {MOST} steps")


def _die_at(moment: int, work: Callable[[], object], steps: Sequence[str]) -> None:
    left = [moment]

    def counted(act: Callable[..., Any]) -> Callable[..., Any]:
        def step(*given: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return act(*given, **named)

        return step

    status = 1
    try:
        for name in steps:
            setattr(os, name, counted(getattr(os, name)))
        work()
        status = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)
