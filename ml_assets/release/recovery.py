"""Whoever changes a release does it alone, and first finishes what a killed process has left half done.

What counts is the effect: the pointer and the file of the release. They are changed first, each in one step,
the journal after. So whatever was killed, what serves is right, and what the journal lacks follows from the
files:

killed after                          left behind                          settled as
the release's file was written        no line `begun` or `advanced`        that line
the pointer moved to the challenger   the file, a pointer that passed it   promoted, the file removed
the file was removed                  no line for the end                  rolled back, or promoted by the pointer
the pointer was rolled back by hand   no line `rolled_back`                that line, with the history's reason
the pointer moved on a full disk      no line in the history               the line that the pointer itself keeps
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError

from ml_assets.config.settings import Settings
from ml_assets.registry.history import complete_history, deployments
from ml_assets.registry.pointer import current_pointer, pointer_path
from ml_assets.registry.release import Release, read_release, release_path
from ml_assets.registry.release_journal import Event, blocking_line
from ml_assets.release import ledger
from ml_assets.release.demotion import owe
from ml_assets.release.ledger import Entry
from ml_assets.storage.file_lock import file_lock


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
    complete_history(pointer_path(settings, name))
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
    pointer = current_pointer(pointer_path(settings, name))
    if release_path(settings, name).exists():
        text = "its file did not read and was removed"
        ledger.note(settings, name, Event.STOPPED, line, text, recovered=True)
    elif pointer and pointer.model_version == line["version"]:
        ledger.note(settings, name, Event.PROMOTED, line, ledger.UNKNOWN, recovered=True)
    else:
        owe(settings, name, line["version"], ledger.UNKNOWN)
        ledger.note(settings, name, Event.ROLLED_BACK, line, ledger.UNKNOWN, recovered=True, blocks=True)


def _pointer_rollbacks(settings: Settings, name: str) -> None:
    """Account for rollbacks of the pointer that no line tells of; what a person named is not blocked any more.

    What has served again since it was taken back is left alone.
    """
    served, lines = deployments(pointer_path(settings, name)), ledger.entries(settings, name)
    told = {line.get("pointer_n") for line in lines}
    for at, each in enumerate(served):
        version, now = each.taken_back, each.pointer.model_version
        if version is None and at:
            version = served[at - 1].pointer.model_version  # the pointer did not read at the time
        since = {later.pointer.model_version for later in served[at:]}
        if not each.blocks or each.n in told or version in {None, *since}:
            continue
        if each is served[-1]:
            owe(settings, name, str(version), each.reason)
        if each.named and blocking_line(lines, now):
            ledger.note_named(settings, name, version=now, reason=each.reason)
        ledger.note_pointer_rollback(
            settings, name, version=str(version), champion=now, reason=each.reason, pointer_n=each.n
        )


def _readable(settings: Settings, name: str) -> Release | None:
    try:
        return read_release(release_path(settings, name))
    except (ValidationError, OSError):
        return None
