"""Dagster's own launcher, whose runs can be asked whether they live: the daemon marks dead ones within seconds."""

from __future__ import annotations

from dagster import DagsterRun, DefaultRunLauncher
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus

from ml_assets.execution.dead_runs import MACHINE, is_dead, machine


class WatchedRunLauncher(DefaultRunLauncher):
    """`run_launcher` for `dagster.yaml`; takes nothing."""

    def launch_run(self, context: LaunchRunContext) -> None:
        """Launch a run, and note on which machine."""
        self._instance.add_run_tags(context.dagster_run.run_id, {MACHINE: machine()})
        super().launch_run(context)

    @property
    def supports_check_run_worker_health(self) -> bool:
        """The daemon asks `check_run_worker_health` of every run that has started."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Whether the run's process is there."""
        if is_dead(self._instance, run):
            return CheckRunHealthResult(WorkerStatus.FAILED, "the run's process is gone")
        return CheckRunHealthResult(WorkerStatus.RUNNING)
