"""Whoever changes a release does it alone, and first finishes what a killed process has left half done.

What counts is the effect: the pointer and the file of the release. They are changed first, each in one step,
the journal after. So whatever was killed, what serves is right, and what the journal lacks follows from the
files:

killed after                          left behind                          settled as
the release's file was written        no line `begun` or `advanced`        that line
the pointer moved to the challenger   the file, a pointer that passed it   promoted, the file removed
the file was removed                  no line for the end                  rolled back, or promoted by the pointer
the pointer was rolled back by hand   no line `rolled_back`                that line, with the history's reason
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

from pydantic import ValidationError

from ml_assets.registry.lock import file_lock
from ml_assets.registry.pointer import deployments, pointer_path, read_pointer
from ml_assets.registry.release import Release, read_release, release_path
from ml_assets.release import ledger
from ml_assets.release.demotion import owe
from ml_assets.release.ledger import Entry, Event
from ml_assets.settings import Settings


@contextmanager
def alone(settings: Settings, name: str, *, settled: bool = True) -> Iterator[Release | None]:
    """Hold the lock of the model's releases; yields the release under way, with the books in order.

    Args:
        settings: the deployment.
        name: the model.
        settled: False only holds the lock and reads: nothing may stand in the way of going back.
    """
    path = release_path(settings, name)
    with file_lock(path.with_name(".release.lock")):
        if settled:
            settle(settings, name)
        yield _readable(settings, name)


def settle(settings: Settings, name: str) -> None:
    """Complete the journal by what the files say; the caller holds the lock."""
    _pointer_rollbacks(settings, name)
    release, line = _readable(settings, name), ledger.under_way(ledger.entries(settings, name))
    if release is None:
        if line:
            _ended(settings, name, line)
        release_path(settings, name).unlink(missing_ok=True)  # one that does not read releases nothing
    elif line is None or line["release_id"] != release.release_id:
        if line:
            superseded(settings, name, line, release)
        ledger.note(settings, name, Event.BEGUN, release, ledger.UNKNOWN, recovered=True)
    elif (line["stage"], line["share"]) != (release.stage, release.share):
        ledger.note(settings, name, Event.ADVANCED, release, ledger.UNKNOWN, recovered=True)


def superseded(settings: Settings, name: str, line: Entry, by: Release) -> None:
    """Close the account of a release whose place another one has taken."""
    text = f"release {by.release_id} of version {by.model_version} took its place"
    ledger.note(settings, name, Event.STOPPED, line, text)


def _ended(settings: Settings, name: str, line: Entry) -> None:
    """Close the account of a release whose file is gone, or does not read."""
    pointer = read_pointer(pointer_path(settings, name))
    if release_path(settings, name).exists():
        text = "its file did not read and was removed"
        ledger.note(settings, name, Event.STOPPED, line, text, recovered=True)
    elif pointer and pointer.model_version == line["version"]:
        ledger.note(settings, name, Event.PROMOTED, line, ledger.UNKNOWN, recovered=True)
    else:
        owe(settings, name, line["version"], ledger.UNKNOWN)
        ledger.note(settings, name, Event.ROLLED_BACK, line, ledger.UNKNOWN, recovered=True, blocks=True)


def _pointer_rollbacks(settings: Settings, name: str) -> None:
    """Account for rollbacks of the pointer that no line tells of."""
    served = deployments(pointer_path(settings, name))
    known = max((line.get("pointer_n", -1) for line in ledger.entries(settings, name)), default=-1)
    for before, each in pairwise(served):
        if not each.rollback or each.n <= known:
            continue
        version = before.pointer.model_version
        if each is served[-1]:
            owe(settings, name, version, each.reason)
        ledger.note_pointer_rollback(
            settings, name, version=version, champion=each.pointer.model_version, reason=each.reason, pointer_n=each.n
        )


def _readable(settings: Settings, name: str) -> Release | None:
    try:
        return read_release(release_path(settings, name))
    except ValidationError:
        return None
