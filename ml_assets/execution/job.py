"""`python -m ml_assets.execution.job <definitions> <job> <tags> [<pipe> [<asset>...]]`: `dagster job execute`, sooner.

The fork server imports what the steps need while Dagster itself is still being imported here, on the other core; and
a process that has nothing left to say ends without taking its modules apart.

With the number of a pipe it ends with the command that holds the other end: a command that was killed leaves no run at
work that nobody follows, and that the next command would have to wait for. With names of assets, it makes no other.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver

from ml_assets.config.settings import PROJECT
from ml_assets.execution.dead_runs import here
from ml_assets.execution.preload_modules import preload

RANGE = "dagster/asset_partition_range_start"


def _end_with(pipe: int) -> None:
    """Wait until nobody holds the other end, and end at once: steps end with their run."""
    os.read(pipe, 1)
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> int:
    """Run the job in this process; returns the exit status of Dagster's command."""
    definitions, job, given, *more = sys.argv[1:]
    pipe, assets = more[:1], more[1:]
    if pipe:
        threading.Thread(target=_end_with, args=(int(pipe[0]),), name="ends_with_its_command", daemon=True).start()
    tags = json.loads(given) | here()
    if RANGE in tags:
        # one event per asset says what is planned, not one per asset and day
        os.environ["DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS"] = "true"
    forkserver.set_forkserver_preload(list(preload(job)))
    forkserver.ensure_running()
    gc.set_threshold(50_000)  # what is imported from here on is no garbage
    if assets:
        return _execute_some(definitions, job, tags, assets)
    from dagster._cli.job import job_cli

    try:
        job_cli(["execute", "-m", definitions, "-j", job, "--tags", json.dumps(tags)])
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


def _execute_some(definitions: str, job: str, tags: Mapping[str, str], assets: Sequence[str]) -> int:
    """What `dagster job execute` does, for some assets of the job: it has no option for these."""
    import dagster as dg
    from dagster._core.code_pointer import ModuleCodePointer
    from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
    from dagster._utils.hosted_user_process import recon_job_from_origin

    pointer = ModuleCodePointer(definitions, "defs", str(PROJECT))
    repository = RepositoryPythonOrigin(sys.executable, pointer)
    keys = [dg.AssetKey.from_user_string(name) for name in assets]
    with dg.DagsterInstance.get() as instance:
        found = recon_job_from_origin(JobPythonOrigin(job, repository))
        return int(not dg.execute_job(found, instance, tags=tags, asset_selection=keys).success)


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
