"""`python -m ml_assets.job <definitions> <job> <tags>`: `dagster job execute`, sooner.

The fork server imports what the steps need while Dagster itself is still being imported here, on the other core; and
a process that has nothing left to say ends without taking its modules apart.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from multiprocessing import forkserver

from ml_assets.preload import preload

RANGE = "dagster/asset_partition_range_start"


def main() -> int:
    """Run the job in this process; returns the exit status of Dagster's command."""
    definitions, job, tags = sys.argv[1:]
    if RANGE in json.loads(tags):
        # one event per asset says what is planned, not one per asset and day
        os.environ["DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS"] = "true"
    forkserver.set_forkserver_preload(list(preload(job)))
    forkserver.ensure_running()
    gc.set_threshold(50_000)  # what is imported from here on is no garbage
    from dagster._cli.job import job_cli

    try:
        job_cli(["execute", "-m", definitions, "-j", job, "--tags", tags])
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
