"""The same graph at several sizes: its raw files, dbt's compiled SQL, and what the bare script takes for each stage."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.speed import child
from ml_assets.config.settings import PROJECT, Settings
from ml_assets.config.source_spec import load_source
from ml_assets.storage.files import publish_folder, write_text_atomically

SHOP = "simulated"
QUICK_UNTIL = "training_set"
"""What a quick run leaves out after this stage takes longest and grows least."""
PORT = 3457


@dataclass(frozen=True)
class Stage:
    """What one stage took, and the most its process held."""

    seconds: float
    peak_mb: float


@dataclass(frozen=True)
class Bare:
    """A run of the bare script: `whole` holds imports and all; `version` and `tables` are what it made."""

    whole: float
    stages: dict[str, Stage]
    version: str | None
    tables: dict[str, int]


def history() -> tuple[date, date]:
    """First and last day the graph is built for; the day after the last is there for a day more."""
    from ml_assets.simulation.spec import read_simulation

    source = load_source(PROJECT / "shops" / f"{SHOP}.yaml")
    return source.calendar.start, read_simulation(source.simulation or {}).end - timedelta(days=1)


def size(millions: float) -> str:
    """A scale as people say it."""
    return f"{millions:g} M events"


def fresh_home(work: Path, kind: str, millions: float) -> Settings:
    """A deployment without anything in it but the raw files of that many events."""
    settings = Settings(home=work / f"{kind}-{millions:g}", shop=SHOP, port=PORT)
    shutil.rmtree(settings.home, ignore_errors=True)
    settings.shop_home.mkdir(parents=True)
    settings.landing.symlink_to(landed(work, millions))
    return settings


def landed(work: Path, millions: float) -> Path:
    """The raw files of the simulated shop, scaled to that many events; written once."""
    folder = work.resolve() / f"landing-{millions:g}"
    if not folder.exists():
        child.run("benchmarks.speed.stages:land", folder=str(folder), millions=millions)
    return folder


def land(folder: str, millions: float) -> dict[str, float]:
    """Write every day's files (no contestant: not timed)."""
    from ml_assets.simulation.landing import write_days
    from ml_assets.simulation.spec import SimulationSpec

    spec = SimulationSpec()
    spec = spec.scaled(millions * 1e6 / (spec.days * spec.events_per_day))
    with publish_folder(Path(folder)) as aside:
        write_days(spec, aside, spec.start, spec.end)
    return {"seconds": 0.0}


@cache
def bare(work: Path, millions: float, until: str = "batch_predictions") -> Bare:
    """Run the bare script on that many events, up to a stage: once per process of the benchmark."""
    settings, (first, last) = fresh_home(work, "bare", millions), history()
    environment = {"ML_ASSETS_HOME": str(settings.home), "ML_ASSETS_SHOP": SHOP, "ML_ASSETS_DATA": ""}
    sql = settings.home / "sql.json"
    child.run(
        "benchmarks.speed.stages:compile_sql", env=environment, sql=str(sql), first=str(first), last=str(last)
    )  # fmt: skip
    command = [sys.executable, "-m", "benchmarks.peers.bare_script", str(sql), str(last), until]
    log = settings.home / "bare.log"
    with log.open("w") as said:
        process = subprocess.Popen(
            command, cwd=PROJECT, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=said, text=True
        )
        printed, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"the bare script failed on {size(millions)}:\n{log.read_text()[-2000:]}")
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith('{"stage"')]
    took = {line["stage"]: line for line in lines}
    return Bare(
        whole=took["whole"]["seconds"],
        stages={name: Stage(each["seconds"], each["peak_mb"]) for name, each in took.items() if "peak_mb" in each},
        version=took["candidate"]["answer"]["version"] if "candidate" in took else None,
        tables=table_counts(settings),
    )


def table_counts(settings: Settings) -> dict[str, int]:
    """Rows of each table of the warehouse."""
    from ml_assets.components.warehouse import table_rows

    return table_rows(settings)


def compile_sql(sql: str, first: str, last: str) -> dict[str, Any]:
    """Have dbt compile its models and data tests for a first build, in the order to run them in (not timed)."""
    from dbt.cli.main import dbtRunner

    from ml_assets.config.settings import load_settings

    settings = load_settings()
    settings.export()
    aside = Path(sql).with_name("compiled")  # a warehouse of the same name without tables: nothing is incremental
    aside.mkdir(parents=True)
    os.environ["ML_ASSETS_WAREHOUSE"] = str(aside / settings.warehouse.name)
    project = str(PROJECT / "dbt_project")
    done = dbtRunner().invoke(
        [
            *("compile", "--quiet", "--project-dir", project, "--profiles-dir", project),
            *("--target-path", str(aside), "--log-path", str(aside)),
            *("--vars", json.dumps({"start_date": first, "end_date": last})),
        ]
    )
    if not done.success:
        raise RuntimeError(f"dbt cannot compile the project: {done.exception}")
    write_text_atomically(Path(sql), json.dumps([_statement(node) for node in in_order(done.result)]))
    return {"seconds": 0.0}


def in_order(compiled: Any) -> list[Any]:
    """dbt's compiled nodes, each after those it reads."""
    kinds = {"model", "test"}
    left = {each.node.unique_id: each.node for each in compiled.results if each.node.resource_type in kinds}
    ordered: list[Any] = []
    while left:
        ready = [name for name, node in left.items() if not left.keys() & set(node.depends_on.nodes)]
        ordered += [left.pop(name) for name in ready]
    return ordered


def _statement(node: Any) -> dict[str, str]:
    kind = "test" if node.resource_type == "test" else "view" if node.config.materialized == "view" else "table"
    name = node.name if kind == "test" else f'"{node.alias}"'
    return {"kind": kind, "name": name, "sql": node.compiled_code}
