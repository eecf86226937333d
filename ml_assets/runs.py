"""Start Dagster jobs from the terminal and follow them: the CLI's own command, its steps shown as they end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ml_assets.settings import PROJECT, Settings


@dataclass(frozen=True)
class CheckResult:
    """One evaluation of an asset check."""

    asset: str
    name: str
    passed: bool
    blocking: bool
    description: str


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
        """Checks that did not pass, blocking or not."""
        return tuple(check for check in self.checks if not check.passed)


def dagster_home(settings: Settings) -> Path:
    """Make the Dagster instance folder of this shop, with the project's `dagster.yaml`, and export its address."""
    folder = settings.dagster_home
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(PROJECT / "dagster.yaml", folder / "dagster.yaml")
    os.environ["DAGSTER_HOME"] = str(folder)
    return folder


def range_tags(start: str, end: str) -> dict[str, str]:
    """Run tags that make one run cover the partitions `start` to `end`, both included."""
    return {"dagster/asset_partition_range_start": start, "dagster/asset_partition_range_end": end}


def execute_job(
    job: str, tags: Mapping[str, str], log: Path, on_line: Callable[[str], None] = lambda line: None
) -> RunResult:
    """Run a job with `dagster job execute` in a process of its own and tell its steps to `on_line` as they happen.

    The full log goes to `log`. Ctrl-C reaches the run, which ends its steps in order and is marked as canceled.
    """
    import uuid

    mark = uuid.uuid4().hex
    command = [
        sys.executable, "-m", "dagster", "job", "execute", "-m", "ml_assets.definitions", "-j", job,
        "--tags", json.dumps({**tags, "ml_assets/started_by": mark}),
    ]  # fmt: skip
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with log.open("w") as written:
        process = subprocess.Popen(command, cwd=PROJECT, stdout=written, stderr=subprocess.STDOUT)
        try:
            result = _follow(mark, process, on_line)
        except KeyboardInterrupt:
            process.wait(timeout=60)
            raise
    if result is None:
        tail = "\n".join(log.read_text().splitlines()[-25:])
        return RunResult("", False, time.monotonic() - started, (), errors=(f"job {job} did not start:\n{tail}",))
    return RunResult(seconds=time.monotonic() - started, **result)


def _follow(mark: str, process: subprocess.Popen[bytes], on_line: Callable[[str], None]) -> dict[str, object] | None:
    """Poll the instance's event log until the process has ended; the run's facts, or None when it never began."""
    import dagster as dg

    with dg.DagsterInstance.get() as instance:
        teller = _Teller(on_line)
        run_id: str | None = None
        cursor: str | None = None
        while True:
            ended = process.poll() is not None
            if run_id is None:
                found = instance.get_runs(dg.RunsFilter(tags={"ml_assets/started_by": mark}), limit=1)
                run_id = found[0].run_id if found else None
            if run_id is not None:
                while (page := instance.get_records_for_run(run_id, cursor=cursor)).records:
                    cursor = page.cursor
                    for record in page.records:
                        teller.tell(record.event_log_entry)
            if ended:
                break
            time.sleep(0.4)
        if run_id is None:
            return None
        run = instance.get_run_by_id(run_id)
        succeeded = run is not None and run.status == dg.DagsterRunStatus.SUCCESS
        return {
            "run_id": run_id, "succeeded": succeeded and process.returncode == 0, "checks": tuple(teller.checks),
            "step_seconds": teller.seconds, "errors": tuple(teller.errors),
        }  # fmt: skip


class _Teller:
    """Turns a run's event log into lines for people, and keeps checks, errors and step times."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self.on_line = on_line
        self.checks: list[CheckResult] = []
        self.errors: list[str] = []
        self.seconds: dict[str, float] = {}
        self._began: dict[str, float] = {}

    def tell(self, entry: object) -> None:
        """Take one event log entry."""
        event = getattr(entry, "dagster_event", None)
        if event is None:
            message = getattr(entry, "user_message", "")
            if getattr(entry, "step_key", None) and message and getattr(entry, "level", 0) >= 20:
                self.on_line(f"      {message}")
            return
        step = event.step_key or ""
        if event.event_type_value == "STEP_START":
            self._began[step] = entry.timestamp  # type: ignore[attr-defined]
            self.on_line(f"   …  {step}")
        elif event.event_type_value == "STEP_SUCCESS":
            self.seconds[step] = entry.timestamp - self._began.get(step, entry.timestamp)  # type: ignore[attr-defined]
            self.on_line(f"   ✓  {step}  {self.seconds[step]:.1f} s")
        elif event.event_type_value == "STEP_FAILURE":
            text = _root_cause(event.step_failure_data.error)
            self.errors.append(f"{step}: {text}")
            self.on_line(f"   ✗  {step}: {text}")
        elif event.event_type_value == "ASSET_CHECK_EVALUATION":
            self._check(event.asset_check_evaluation_data)

    def _check(self, evaluation: object) -> None:
        found = CheckResult(
            asset=evaluation.asset_key.to_user_string(),  # type: ignore[attr-defined]
            name=evaluation.check_name,  # type: ignore[attr-defined]
            passed=evaluation.passed,  # type: ignore[attr-defined]
            blocking=bool(evaluation.blocking),  # type: ignore[attr-defined]
            description=evaluation.description or "",  # type: ignore[attr-defined]
        )
        self.checks.append(found)
        if not found.passed:
            self.on_line(f"   ✗  check {found.name} on {found.asset}: {found.description}")


def _root_cause(error: object) -> str:
    """The message of the innermost error: what the library said, without Dagster's wrapping."""
    while getattr(error, "cause", None) is not None:
        error = error.cause  # type: ignore[attr-defined]
    return str(getattr(error, "message", error)).strip()
