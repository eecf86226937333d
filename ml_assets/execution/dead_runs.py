"""Runs whose process is gone: nobody else would notice for hours, and what they hold would stay held."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING

import psutil

from ml_assets.storage.processes import birth, runs

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, EventLogEntry

MACHINE = "ml_assets/machine"
"""Tag of a run: the machine that its processes are on; those of another one cannot be looked at from here."""
PROCESS = "ml_assets/process"
"""Tag of a run that a command executes: number and birth of its process, known before the run says anything itself."""
CLOCK_SECONDS = 1.0
"""A process may seem this much younger than the event that it wrote."""


def machine() -> str:
    """What this machine is called in the tag `MACHINE`."""
    return socket.gethostname()


def here() -> dict[str, str]:
    """Tags of a run that this process executes."""
    return {MACHINE: machine(), PROCESS: f"{os.getpid()} {birth(psutil.Process())}"}


def is_dead(instance: DagsterInstance, run: DagsterRun) -> bool:
    """Whether a run began on this machine, never said that it ended, and no process of it is there any more."""
    import dagster as dg

    if run.status not in _unfinished() or run.tags.get(MACHINE) != machine():
        return False
    said = None if run.parent_run_id else run.tags.get(PROCESS)  # one that is executed again has the tags of the first
    events = _events(instance, run, {dg.DagsterEventType.ENGINE_EVENT, dg.DagsterEventType.STEP_WORKER_STARTED})
    begun = events and run.status != dg.DagsterRunStatus.NOT_STARTED
    if not (said or begun) or (said and _is_there(said)) or any(_lives(event) for event in events):
        return False
    now = instance.get_run_by_id(run.run_id)  # a run says that it ended before its process does
    return now is not None and now.status in _unfinished()


def end_if_dead(instance: DagsterInstance, run: DagsterRun) -> bool:
    """Mark a dead run as failed and free what it holds of the pools; whether it was dead."""
    if not is_dead(instance, run):
        return False
    instance.report_run_failed(run, "The run's process is gone: it was killed, or the machine was switched off.")
    _free(instance, run)
    return True


def end_dead_runs(instance: DagsterInstance) -> list[str]:
    """Mark every dead run as failed and free the slots of all runs that ended; the ids of the dead ones."""
    import dagster as dg

    found = instance.get_runs(dg.RunsFilter(statuses=_unfinished(), tags={MACHINE: machine()}))
    dead = [run.run_id for run in found if end_if_dead(instance, run)]
    for run_id in _holding(instance):
        run = instance.get_run_by_id(run_id)
        if run is None:
            instance.event_log_storage.free_concurrency_slots_for_run(run_id)
        elif run.is_finished and run.tags.get(MACHINE) == machine() and not _steps_live(instance, run):
            _free(instance, run)
    return dead


def _unfinished() -> list[DagsterRunStatus]:
    """What a run may be that is executed, or was when its process ended; others are the queue's and the launcher's."""
    from dagster import DagsterRunStatus

    return [DagsterRunStatus.NOT_STARTED, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]


def _is_there(said: str) -> bool:
    """Whether the process that a tag `PROCESS` names still works."""
    pid, _, born = said.partition(" ")
    return runs(int(pid), float(born))


def _holding(instance: DagsterInstance) -> set[str]:
    """The runs that have a slot of a pool, or wait for one."""
    storage = instance.event_log_storage
    infos = storage.get_concurrency_infos(sorted(storage.get_concurrency_keys()))
    claimed = {slot.run_id for info in infos.values() for slot in info.claimed_slots}
    return claimed | set(storage.get_concurrency_run_ids())


def _free(instance: DagsterInstance, run: DagsterRun) -> None:
    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _steps_live(instance: DagsterInstance, run: DagsterRun) -> bool:
    import dagster as dg

    return any(_lives(event) for event in _events(instance, run, {dg.DagsterEventType.STEP_WORKER_STARTED}))


def _events(instance: DagsterInstance, run: DagsterRun, kinds: Iterable[object]) -> list[EventLogEntry]:
    """Events of a run in which a process says its number."""
    found = instance.all_logs(run.run_id, of_type=set(kinds))  # type: ignore[arg-type]
    return [event for event in found if _pid(event) is not None]


def _pid(event: EventLogEntry) -> int | None:
    data = event.dagster_event and event.dagster_event.event_specific_data
    said = getattr(data, "metadata", {}).get("pid")
    return int(said.value) if said is not None and str(said.value).isdigit() else None


def _lives(event: EventLogEntry) -> bool:
    """Whether the process that wrote an event is there: not one that was given its number later."""
    pid = _pid(event)
    try:
        process = psutil.Process(pid)
        began = process.create_time() <= event.timestamp + CLOCK_SECONDS
        return began and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
