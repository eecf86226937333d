"""The asset graph as the loop uses it: days run in this process, everything else is left to Dagster's daemon."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_assets.config.settings import PROJECT, Settings
from ml_assets.demo.loop.story import StepMissed
from ml_assets.execution.process_group import own_group
from ml_assets.execution.runs import range_tags
from ml_assets.web.pages import pages_note, ui_command

if TYPE_CHECKING:
    import dagster as dg


class Graph:
    """The definitions, loaded once, and the instance that the daemon and the UI share."""

    def __init__(self, instance: dg.DagsterInstance, log: Path) -> None:
        from ml_assets.definitions import defs

        self.instance, self._log = instance, log
        log.parent.mkdir(parents=True, exist_ok=True)
        self._repository = defs().get_repository_def()

    def run(
        self, job: str, first: date, last: date, without: Sequence[str] = (), ops: dict[str, Any] | None = None
    ) -> dict[str, str]:
        """Run a job over days and return the checks that found something, "asset: check" -> what it said.

        Args:
            job: its name.
            first: first day.
            last: last day.
            without: assets of a model that are left out.
            ops: run config of the assets.

        Raises:
            StepMissed: when a step failed, with its error.
        """
        tags = {"dagster/partition": str(last)} if first == last else range_tags(str(first), str(last))
        definition = self._repository.get_job(job)
        wanted = [key for key in definition.asset_layer.selected_asset_keys if key.path[-1] not in without]
        config: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}  # the instance has it
        config["ops"] = ops or {}
        with self._log.open("a") as written, redirect_stdout(written), redirect_stderr(written):
            done = definition.execute_in_process(
                run_config=config,
                instance=self.instance,
                tags=tags,
                raise_on_error=False,
                asset_selection=wanted if without else None,
            )
        failed = [event for event in done.all_events if event.is_step_failure]
        if failed or not done.success:
            error = failed[0].step_failure_data.error if failed else None
            said = "unknown" if error is None else (error.cause or error).message.strip()
            raise StepMissed(f"job {job} failed{f' in {failed[0].step_key}' if failed else ''}: {said}")
        from ml_assets.components.daily_checks import UNJUDGED

        checks = done.get_asset_check_evaluations()
        return {
            f"{check.asset_key.to_user_string()}: {check.check_name}": check.description or ""
            for check in checks
            if not check.passed and not (check.description or "").startswith(UNJUDGED)
        }

    def wait_for_run(self, tags: dict[str, str], seconds: float, tell: Callable[[str], None]) -> Any:
        """Wait until a run with these tags was started by the daemon and has ended well; return it.

        Raises:
            StepMissed: when none starts or it fails, or takes longer than `seconds`.
        """
        import dagster as dg

        deadline = time.monotonic() + seconds
        told = None
        while time.monotonic() < deadline:
            found = self.instance.get_runs(dg.RunsFilter(tags=tags), limit=1)
            if found and found[0].status != told:
                told = found[0].status
                tell(f"run {found[0].run_id[:8]} {told.value.lower()}")
            if found and found[0].is_finished:
                if not found[0].is_success:
                    raise StepMissed(f"the run with {tags} ended as {found[0].status.value}")
                return found[0]
            time.sleep(0.5)
        raise StepMissed(f"no run with {tags} ended within {seconds:.0f} s")


@contextmanager
def daemon(settings: Settings) -> Iterator[None]:
    """Dagster's daemon and pages, with this deployment's sensors and schedules, for as long as the block lasts."""
    log: Path = settings.shop_home / "logs" / "daemon.log"
    options: dict[str, Any] = {"cwd": PROJECT, "stderr": subprocess.STDOUT, "note": pages_note(settings, "loop")}
    with log.open("w") as written, own_group(ui_command(settings), stdout=written, **options):
        yield


def fresh_cut(model: str) -> dict[str, Any]:
    """Run config for a young shop: train on a cut as close to the last day as the labels allow."""
    return {f"{model}__training_set": {"config": {"fresh": True}}}
