"""Which process it was: a number is given again, and a birth by the clock changes when the clock is set."""

from __future__ import annotations

import os
from pathlib import Path

import psutil


def birth(process: psutil.Process) -> float:
    """When a process began: seconds since the machine started where that is known (Linux), else since 1970.

    The kernel counts the former by itself; the latter moves whenever the clock is set, or the machine was suspended.

    Raises:
        psutil.NoSuchProcess: when it is gone.
    """
    stat = Path("/proc", str(process.pid), "stat")
    try:
        after_name = stat.read_text().rpartition(")")[2].split()  # field 3 comes first; field 22 is the start
    except (FileNotFoundError, ProcessLookupError):
        return float(process.create_time())
    return int(after_name[19]) / os.sysconf("SC_CLK_TCK")


def is_that(process: psutil.Process, born: float) -> bool:
    """Whether it is the process of that birth; one that was noted by the clock, as it once was, is known as well."""
    return born in (birth(process), process.create_time())


def still_runs(process: psutil.Process) -> bool:
    """Whether a process still works; one that ended but was not reaped by its parent yet does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def runs(pid: int, born: float) -> bool:
    """Whether the process of that number and birth still works."""
    try:
        process = psutil.Process(pid)
        return is_that(process, born) and still_runs(process)
    except psutil.NoSuchProcess:
        return False
