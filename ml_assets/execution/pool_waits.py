"""A step that waits for a pool says so: a job that stands still without a word looks broken."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagster import DagsterInstance, EventLogEntry

BLOCKED = ("Step blocked by limit for pool ", "Step still blocked by limit for pool ")
"""How Dagster's own events about it begin, first and every few minutes; the pool's name follows."""


def waits_for(instance: DagsterInstance, entry: EventLogEntry) -> str | None:
    """What a step waits for and which run has it, when that is what an event is about."""
    event = entry.dagster_event
    begins = next((each for each in BLOCKED if event and (event.message or "").startswith(each)), None)
    if event is None or begins is None:
        return None
    pool = str(event.message).removeprefix(begins)
    slots = instance.event_log_storage.get_concurrency_info(pool).claimed_slots
    holders = [instance.get_run_by_id(run_id) for run_id in dict.fromkeys(slot.run_id for slot in slots)]
    named = [f"run {run.run_id[:8]} ({run.job_name})" for run in holders if run and run.run_id != entry.run_id]
    has = f": {', '.join(named)} has it" if named else ": another step of this run has it" if slots else ""
    return f"{event.step_key} waits for the pool {pool}{has}"
