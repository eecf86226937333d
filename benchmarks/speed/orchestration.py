"""Orchestration: the whole graph beside a bare script of the same SQL and calls, a step that does nothing, a day more.

The graph is what `make demo` runs, less the simulated outside world and the model server, neither of which is work of
the graph. Both sides end with the same tables and the same content-addressed model version, or this raises.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil

from benchmarks.scale import resident
from benchmarks.speed import child
from benchmarks.speed.orchestration_jobs import DAY, EMPTY, GRAPH, STEPS
from benchmarks.speed.result import Result
from benchmarks.speed.stages import PORT, QUICK_UNTIL, SHOP, bare, fresh_home, history, size, table_counts
from ml_assets.config.settings import Settings

HERE = "benchmarks.speed.orchestration"
FULL, QUICK = 10.0, 0.03
RENEWED = (
    "feast__definitions",
    "feast__online_store",
    "feast__online_store_offline_equals_online",
    "product_recommender__retrieval_index",
)
"""Steps of `train` that every new day renews too."""


def measure(quick: bool, work: Path) -> Iterator[Result]:
    """An empty step, then the graph at 10 M events, one day more on top of it, and the bare script beside it.

    Quick: no spawned steps, and of the graph the job `ingest` alone.
    """
    yield empty_step(work, ["forked"] if quick else list(EMPTY))
    yield from (_data(work, QUICK) if quick else _whole(work, FULL))


def empty_step(work: Path, ways: list[str]) -> Result:
    """What a step costs that does nothing: forked from the preloaded server; spawned as Dagster does by default."""
    took = {}
    for way in ways:
        home = fresh_home(work, "empty", QUICK).home
        took[way] = child.run(f"{HERE}:run_empty", home=str(home), job=EMPTY[way]).seconds
    return Result("orchestration: an empty step", f"mean of {STEPS - 1}", took["forked"], peer=took.get("spawned"))


def _data(work: Path, millions: float) -> Iterator[Result]:
    """The job `ingest` beside the script's stages that do the same (whose imports are left out)."""
    settings, (first, last) = fresh_home(work, "graph", millions), history()
    ours = child.run(f"{HERE}:run_ingest", home=str(settings.home), first=str(first), last=str(last))
    floor = bare(work, millions, QUICK_UNTIL)
    agree("tables", ours.answer["tables"], floor.tables)
    seconds = sum(floor.stages[name].seconds for name in ("products", "events", "warehouse"))
    yield Result("orchestration: ingest", size(millions), ours.seconds, floor=seconds, peak_mb=ours.answer["peak_mb"])


def _whole(work: Path, millions: float) -> Iterator[Result]:
    """Both jobs, a day more beside what renewing all days takes, then the whole script beside the jobs."""
    settings, (first, last) = fresh_home(work, "graph", millions), history()
    home = str(settings.home)
    ingest = child.run(f"{HERE}:run_ingest", home=home, first=str(first), last=str(last))
    train = child.run(f"{HERE}:run_train", home=home, last=str(last))
    more = child.run(f"{HERE}:run_day", home=home, day=str(last + timedelta(days=1)))
    anew = ingest.seconds + sum(train.answer["steps"][step] for step in RENEWED)
    scale = f"{size(millions)}; peer: all days anew"
    yield Result("orchestration: a day more", scale, more.seconds, peer=anew, peak_mb=more.answer["peak_mb"])
    floor = bare(work, millions)
    agree("tables", ingest.answer["tables"], floor.tables)
    agree("the model version", train.answer["version"], floor.version)
    seconds, peak = ingest.seconds + train.seconds, max(ingest.answer["peak_mb"], train.answer["peak_mb"])
    yield Result("orchestration: whole graph", size(millions), seconds, floor=floor.whole, peak_mb=peak)


def agree(what: str, ours: object, bare: object) -> None:
    """Hold the graph and the script to the same result.

    Raises:
        RuntimeError: when they differ.
    """
    if ours != bare:
        raise RuntimeError(f"the graph and the bare script disagree about {what}: {ours} and {bare}")


def run_ingest(home: str, first: str, last: str) -> dict[str, Any]:
    """The job `ingest` over all days."""
    from ml_assets.execution.runs import range_tags

    settings = _deployment(home)
    return {**_run(settings, "ingest", range_tags(first, last)), "tables": table_counts(settings)}


def run_train(home: str, last: str) -> dict[str, Any]:
    """The job `train`, less the model server, on top of it."""
    settings = _deployment(home)
    done = _run(settings, GRAPH, {"dagster/partition": last})
    candidate = settings.shop_home / "references" / "product_recommender" / "candidate.json"
    return {**done, "version": json.loads(candidate.read_text())["version"]}


def run_day(home: str, day: str) -> dict[str, Any]:
    """One more day: raw files, warehouse, online store, index."""
    return _run(_deployment(home), DAY, {"dagster/partition": day})


def run_empty(home: str, job: str) -> dict[str, Any]:
    """Seconds from the end of an empty step to the end of the next, mean over the job."""
    import dagster as dg

    done = _run(_deployment(home), job, {})
    with dg.DagsterInstance.get() as instance:
        ended = instance.all_logs(done["run_id"], of_type=dg.DagsterEventType.STEP_SUCCESS)
    ends = [entry.timestamp for entry in ended]
    return {"seconds": (max(ends) - min(ends)) / (len(ends) - 1)}


def _deployment(home: str) -> Settings:
    from ml_assets.execution.runs import dagster_home

    settings = Settings(home=Path(home), shop=SHOP, port=PORT)
    os.environ["ML_ASSETS_DATA"] = ""  # `make DATA=...` is for another shop
    settings.export()
    dagster_home(settings)
    return settings


def _run(settings: Settings, job: str, tags: dict[str, str]) -> dict[str, Any]:
    """A job as the demo runs it: seconds from its start to its end, those of each step, memory of all its processes."""
    from ml_assets.execution.runs import execute_job

    log = settings.home / f"{job}.log"
    with Memory() as memory:
        done = execute_job(job, tags, log, definitions="benchmarks.speed.orchestration_jobs")
    if not done.succeeded:
        raise RuntimeError(f"job {job} failed ({log}): {done.errors}")
    steps = dict(done.step_seconds)
    return {"seconds": done.seconds, "run_id": done.run_id, "steps": steps, "peak_mb": memory.peak / 2**20}


class Memory:
    """The largest sum of resident memory of this process and all it starts, sampled twice a second.

    Pages that forked steps share count once per process, so it is an upper bound.
    """

    def __enter__(self) -> Memory:
        self.peak = 0
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._sample)
        self._watch.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._watch.join()

    def _sample(self) -> None:
        while not self._ended.wait(0.5):
            self.peak = max(self.peak, resident(psutil.Process()))
