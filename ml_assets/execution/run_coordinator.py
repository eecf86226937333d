"""Dagster's run queue with a way past it: going back neither waits for two trainings nor for the daemon."""

from __future__ import annotations

from dagster import DagsterRun, QueuedRunCoordinator
from dagster._core.run_coordinator.base import SubmitRunContext
from dagster._core.storage.dagster_run import DagsterRunStatus

AT_ONCE = frozenset({"rollback"})
"""Jobs that are launched when they are asked for: by files only, within seconds, and a person waits for them."""


class RollbackAtOnce(QueuedRunCoordinator):
    """`run_coordinator` for `dagster.yaml`; takes what the stock queue takes, `concurrency` limits it the same way."""

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        """Launch a run of a job of `AT_ONCE` in the process that asks, and queue any other."""
        run = context.dagster_run
        if run.job_name not in AT_ONCE or run.status != DagsterRunStatus.NOT_STARTED:
            return super().submit_run(context)
        self._instance.launch_run(run.run_id, context.workspace)
        return self._instance.get_run_by_id(run.run_id) or run
