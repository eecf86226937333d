"""Dagster's instance as this project runs it: `dagster.yaml` names it, so it is however Dagster is started.

Dagster's webserver has no login, takes any Host and Origin, and runs GraphQL mutations that come by GET or as text: any
web page that is open on this machine could launch runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import click
import dagster as dg
from dagster._core.instance.ref import InstanceRef
from dagster_shared.check import CheckError

from ml_assets.config.settings import Settings, load_settings
from ml_assets.config.yaml_file import ConfigError
from ml_assets.execution.dead_runs import end_dead_runs, here
from ml_assets.execution.one_daemon import hold, is_daemon
from ml_assets.execution.pool_waits import waits_for
from ml_assets.execution.runs import failed_check

POSTED = ("/graphql",)
BODIES = ("application/json", "application/graphql")


EVENT_LOG = "ML_ASSETS_EVENT_LOG"
"""The variable that `dagster.yaml` names: there also for who has not taken over the environment, as `dg check defs`."""
DAYS = ("dagster/partition", "dagster/asset_partition_range_start")
"""Tags of a run that says its day or days."""


class GuardedInstance(dg.DagsterInstance):
    """`instance_class` for `dagster.yaml`: the stock instance, but that it guards what Dagster leaves open.

    The webserver is guarded, a second daemon is refused, a job of days is not run without one, and what people must
    know of a run is said in the terminal.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        if sys.excepthook is sys.__excepthook__:
            sys.excepthook = _in_words

    @classmethod
    def config_schema(cls) -> dict[str, Any]:
        """`dagster.yaml` has nothing to say to this class; Dagster asks before it reads the variables in that file."""
        os.environ.setdefault(EVENT_LOG, load_settings().exported[EVENT_LOG])
        return {}

    @classmethod
    def config_defaults(cls, base_dir: str) -> Mapping[str, Any]:
        """What `dagster.yaml` does not say, as in the stock instance."""
        return InstanceRef.config_defaults(base_dir)

    def get_required_daemon_types(self) -> Sequence[str]:
        """Dagster's daemon asks this before it does anything; a second one ends here."""
        if is_daemon():
            try:
                hold(Path(self.root_directory))
            except ConfigError as error:
                raise SystemExit(str(error)) from None
        return super().get_required_daemon_types()

    def create_run_for_job(self, job_def: dg.JobDefinition, *arguments: Any, **named: Any) -> dg.DagsterRun:
        """Commands call this to run a job in their own process; one that works on days is not run on none.

        The run says of which process it is, so that whoever looks next sees when it is dead; this command looks first.
        """
        if job_def.partitions_def is not None and not {*DAYS} & {*(named.get("tags") or {})}:
            raise click.UsageError(
                f"the job {job_def.name} works on days: say --partition 2026-06-30, or --partition-range "
                f"2026-06-01...2026-06-30; the newest day is {job_def.partitions_def.get_last_partition_key()}"
            )
        end_dead_runs(self)
        named["tags"] = here() | (named.get("tags") or {})
        return super().create_run_for_job(job_def, *arguments, **named)

    def handle_new_event(self, event: dg.EventLogEntry, **named: Any) -> None:
        """Every event of a run passes here, in the run's process: what people must know of is said in the terminal."""
        super().handle_new_event(event, **named)
        waited = waits_for(self, event)
        if waited is not None:
            end_dead_runs(self)  # what it waits for may have been killed since
        if (text := waited or failed_check(event)) is not None:
            print(text, file=sys.stderr, flush=True)

    def optimize_for_webserver(self, *arguments: Any, **named: Any) -> None:
        """Dagster's webserver calls this before it makes its application."""
        super().optimize_for_webserver(*arguments, **named)
        guard_webserver(load_settings())


def _in_words(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """`dg launch --assets` finds that the days are missing before any of this is asked, and ends by an exception."""
    if isinstance(error, CheckError) and "no '--partition' option" in str(error):
        print(
            "Error: what you launch is made by day: say --partition 2026-06-30, or --partition-range", file=sys.stderr
        )
    else:
        sys.__excepthook__(kind, error, trace)


def guard_webserver(settings: Settings) -> None:
    """Put the guard before everything that a `DagsterWebserver` of this process answers."""
    from dagster_webserver.webserver import DagsterWebserver
    from starlette.middleware import Middleware

    from ml_assets.web.guard import Guard

    inner = DagsterWebserver.build_middleware
    guard = Middleware(
        Guard, names=settings.pages_names, anywhere=settings.pages_anywhere, posted=POSTED, bodies=BODIES
    )

    def build_middleware(self: DagsterWebserver[Any, Any]) -> list[Middleware]:
        return [guard, *inner(self)]

    DagsterWebserver.build_middleware = build_middleware  # type: ignore[method-assign]
