"""A graph for tests of runs that are killed: a step that holds a pool, says its process and waits for a file."""

import os
import time
from pathlib import Path

import dagster as dg

from ml_assets.defs.resources import forked


@dg.asset(pool="held")
def waits() -> None:
    folder = Path(os.environ["DAGSTER_HOME"])
    (folder / "step.tmp").write_text(str(os.getpid()))
    (folder / "step.tmp").rename(folder / "step")
    while not (folder / "go").exists():
        time.sleep(0.05)


defs = dg.Definitions(
    assets=[waits],
    jobs=[
        dg.define_asset_job("ingest", executor_def=forked("ingest")),
        dg.define_asset_job("land", executor_def=dg.in_process_executor),
    ],
)
