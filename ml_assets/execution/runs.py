"""Start Dagster jobs from the terminal and follow them: the CLI's own command, its steps shown as they end."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_assets.config.settings import PROJECT, Settings
from ml_assets.execution.dead_runs import end_dead_runs
from ml_assets.execution.pool_waits import waits_for
from ml_assets.execution.process_group import own_group
from ml_assets.storage.file_lock import file_lock
from ml_assets.storage.files import write_text_atomically

if TYPE_CHECKING:
    from dagster import AssetCheckEvaluation, EventLogEntry
    from dagster_shared.error import SerializableErrorInfo

CAUSE = "ml_assets/cause"
"""Tag of the runs that sensors and schedules ask for, with what led to them."""
REBUILD = "ml_assets/rebuild"
"""Tag of the runs that make dbt's tables anew, from all published days."""
NOISE = ("A dbt subsetted execution", "Running dbt command", "Finished dbt command", "Dependencies for step")
"""What Dagster says of itself: the run's log has it."""
RUN_GRACE_SECONDS = 60.0
"""How long a run may take to end its steps."""
LOOK_SECONDS = 5.0
"""How often a command that follows its run looks for runs that died."""


@dataclass(frozen=True)
class CheckResult:
    """One evaluation of an asset check."""

    asset: str
    name: str
    passed: bool
    blocking: bool
    description: str
    warning: bool = False


@dataclass(frozen=True)
class RunResult:
    """What a finished run did."""

    run_id: str
    succeeded: bool
    seconds: float
    checks: tuple[CheckResult, ...]
    step_seconds: Mapping[str, float] = field(default_factory=dict)
    errors: tuple[str, ...] = ()

    @property
    def failed_checks(self) -> tuple[CheckResult, ...]:
        """Checks that found something wrong, blocking or not; `warnings` are apart."""
        return tuple(check for check in self.checks if not check.passed and not check.warning)

    @property
    def warnings(self) -> tuple[CheckResult, ...]:
        """Checks that only warn: of what is no error, or of what could not be judged."""
        return tuple(check for check in self.checks if not check.passed and check.warning)


def dagster_home(settings: Settings) -> Path:
    """Make the Dagster instance folder of this shop, with the project's `dagster.yaml`, and export its address."""
    folder = settings.dagster_home
    folder.mkdir(parents=True, exist_ok=True)
    ours, theirs = (PROJECT / "dagster.yaml").read_text(), folder / "dagster.yaml"
    if not theirs.exists() or theirs.read_text() != ours:
        write_text_atomically(theirs, ours)
    os.environ["DAGSTER_HOME"] = str(folder)
    return folder


def range_tags(start: str, end: str) -> dict[str, str]:
    """Run tags that make one run cover the partitions `start` to `end`, both included."""
    return {"dagster/asset_partition_range_start": start, "dagster/asset_partition_range_end": end}


def execute_job(
    job: str,
    tags: Mapping[str, str],
    log: Path,
    on_line: Callable[[str], None] = lambda line: None,
    *,
    definitions: str = "ml_assets.definitions",
    assets: Collection[str] = (),
) -> RunResult:
    """Run a job with `ml_assets.execution.job` in a process of its own and tell its steps to `on_line` as they happen.

    The job is one of the module `definitions`; with `assets` it makes these of its assets only. The full log goes to
    `log`. When this process is told to end, so is the run, which ends its steps in order and is marked as interrupted;
    when this process is killed, so is the run.
    """
    mark = uuid.uuid4().hex
    tagged = json.dumps({**tags, "ml_assets/started_by": mark})
    held, holds = os.pipe()  # the run ends when nobody holds the other end any more
    command = [sys.executable, "-m", "ml_assets.execution.job", definitions, job, tagged, str(held), *sorted(assets)]
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    _prepare_instance()
    options: dict[str, Any] = {"cwd": PROJECT, "stderr": subprocess.STDOUT, "grace": RUN_GRACE_SECONDS}
    try:
        with log.open("w") as written, own_group(command, stdout=written, pass_fds=[held], **options) as process:
            os.close(held)
            run_id, succeeded, story = _follow(mark, process, on_line)
    finally:
        os.close(holds)
    errors = tuple(story.errors)
    if run_id is None:
        tail = "\n".join(log.read_text().splitlines()[-25:])
        errors = (f"job {job} did not start:\n{tail}",)
    took = time.monotonic() - started
    return RunResult(run_id or "", succeeded, took, tuple(story.checks), story.seconds, errors)


def free_what_dead_runs_hold() -> None:
    """Mark runs whose process is gone as failed, and free what they hold, before anything else is started."""
    import dagster as dg

    _prepare_instance()
    with dg.DagsterInstance.get() as instance:
        end_dead_runs(instance)


def _prepare_instance() -> None:
    """Create the instance's databases before the run does: two processes creating them at once break both."""
    home = Path(os.environ["DAGSTER_HOME"])
    with file_lock(home / ".preparing"):
        if (home / ".prepared").exists():
            return
        import dagster as dg

        with dg.DagsterInstance.get() as instance:
            instance.get_runs(limit=1)
            instance.get_asset_keys(limit=1)
            instance.all_instigator_state()
        (home / ".prepared").touch()


def _follow(
    mark: str, process: subprocess.Popen[bytes], on_line: Callable[[str], None]
) -> tuple[str | None, bool, _Story]:
    """Poll the instance's event log until the process has ended: run id (None when none began), success, story."""
    import dagster as dg

    waiting = {dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING}
    begun = [status for status in dg.DagsterRunStatus if status not in waiting]
    story = _Story(on_line)
    run_id: str | None = None
    cursor: str | None = None
    looked = -LOOK_SECONDS
    with dg.DagsterInstance.get() as instance:
        while True:
            if time.monotonic() - looked > LOOK_SECONDS:  # the run may wait for what a dead one holds
                end_dead_runs(instance)
                looked = time.monotonic()
            ended = process.poll() is not None
            if run_id is None:
                # Not before it has started: a run's event file is created by its first event, and only by that.
                found = instance.get_runs(dg.RunsFilter(tags={"ml_assets/started_by": mark}, statuses=begun), limit=1)
                run_id = found[0].run_id if found else None
            if run_id is not None:
                while (page := instance.get_records_for_run(run_id, cursor=cursor)).records:
                    cursor = page.cursor
                    for record in page.records:
                        story.take(record.event_log_entry)
                        if (text := waits_for(instance, record.event_log_entry)) is not None:
                            on_line(f"   …  {text}")
            if ended:
                break
            time.sleep(0.4)
        run = instance.get_run_by_id(run_id) if run_id else None
        return run_id, run is not None and run.status == dg.DagsterRunStatus.SUCCESS, story


class _Story:
    """Turns a run's event log into lines for people, and keeps checks, errors and step times."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self.on_line = on_line
        self.checks: list[CheckResult] = []
        self.errors: list[str] = []
        self.seconds: dict[str, float] = {}
        self._began: dict[str, float] = {}

    def take(self, entry: EventLogEntry) -> None:
        """Take one event log entry."""
        if entry.dagster_event is None:
            noise = entry.user_message.startswith(NOISE)
            if entry.step_key and int(entry.level) >= logging.INFO and not noise:
                self.on_line(f"      {entry.user_message}")
            return
        event, step = entry.dagster_event, entry.step_key or ""
        match event.event_type_value:
            case "STEP_START":
                self._began[step] = entry.timestamp
                self.on_line(f"   …  {step}")
            case "STEP_SUCCESS":
                self.seconds[step] = entry.timestamp - self._began.get(step, entry.timestamp)
                self.on_line(f"   ✓  {step}  {self.seconds[step]:.1f} s")
            case "STEP_FAILURE":
                text = _root_cause(event.step_failure_data.error)
                self.errors.append(f"{step}: {text}")
                self.on_line(f"   ✗  {step}: {text}")
            case "ASSET_CHECK_EVALUATION":
                self._check(event.asset_check_evaluation_data)

    def _check(self, evaluation: AssetCheckEvaluation) -> None:
        if evaluation.blocking is None:
            return  # a day of a range, which has a result of its own
        asset, name = evaluation.asset_key.to_user_string(), evaluation.check_name
        said, warning = evaluation.description or "", evaluation.severity.value == "WARN"
        found = CheckResult(asset, name, evaluation.passed, bool(evaluation.blocking), said, warning)
        self.checks.append(found)
        if not found.passed:
            self.on_line(f"   {'!' if warning else '✗'}  check {name} on {asset}: {found.description}")


def failed_check(entry: EventLogEntry) -> str | None:
    """What a check that did not pass says, when that is what an event is about."""
    event = entry.dagster_event
    if event is None or event.event_type_value != "ASSET_CHECK_EVALUATION":
        return None
    found = event.asset_check_evaluation_data
    if found.passed or found.blocking is None:  # a day of a range, which has a result of its own
        return None
    how = "stops what lies downstream" if found.blocking else f"{found.severity.value.lower()} only"
    mark, asset = "!" if found.severity.value == "WARN" else "✗", found.asset_key.to_user_string()
    return f"{mark} check {found.check_name} on {asset} ({how}): {found.description or 'failed'}"


def _root_cause(error: SerializableErrorInfo | None) -> str:
    """What the project's own code said, without Dagster's wrapping around it."""
    while error is not None and error.cause is not None and str(error.cls_name).startswith("Dagster"):
        error = error.cause
    return "unknown error" if error is None else error.message.strip()
