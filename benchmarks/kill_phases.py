"""The phases of the kill drill: what a user or the daemon calls, and what customers do in between."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_assets.config.model_spec import ModelSpec, model_specs
from ml_assets.config.settings import SHOP, load_settings
from ml_assets.config.source_spec import load_source
from ml_assets.definitions import defs
from ml_assets.execution.dead_runs import end_dead_runs, here
from ml_assets.execution.preload_modules import HEAVY
from ml_assets.execution.runs import dagster_home, execute_job, range_tags
from ml_assets.registry.pointer import pointer_path, require_pointer
from ml_assets.registry.release import read_release, release_path
from ml_assets.registry.versions import list_versions, load_version, publish_version
from ml_assets.simulation.spec import read_simulation

if TYPE_CHECKING:
    from benchmarks.kills import Drill

FIRST = date(2026, 1, 1)
DAYS = [(FIRST, FIRST + timedelta(days=69)), (FIRST + timedelta(days=70), FIRST + timedelta(days=83))]
LAST = DAYS[-1][1]
RAW = ("landing", "products", "products_quarantine", "events", "events_quarantine")
COLLECTIONS = 5
MOST_TRAFFIC = 6
"""Rounds of customers that a release gets at most."""
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def live(drill: Drill) -> None:
    """From raw events to a released model: 80 kills in ingestion, 40 in training, 50 in collection, 30 in releases."""
    settings, spec = load_settings(), _spec()
    for name in HEAVY:
        __import__(name)
    dagster_home(settings)
    drill.do(prepare)
    repository = defs().get_repository_def()
    jobs = {name: repository.get_job(name) for name in ("ingest", "train", "collect", "release")}

    def run(job: str, tags: dict[str, str], only: Sequence[str] = ()) -> bool:
        with dg.DagsterInstance.get() as instance:
            end_dead_runs(instance)
            wanted = [key for key in jobs[job].asset_layer.selected_asset_keys if key.path[-1] in only]
            return jobs[job].execute_in_process(
                run_config=QUIET, instance=instance, tags={**tags, **here()}, raise_on_error=False,
                asset_selection=wanted or None,
            ).success  # fmt: skip

    def command(job: str, tags: dict[str, str]) -> bool:
        return execute_job(job, tags, settings.shop_home / "logs" / f"{job}.log").succeeded

    first, later = (range_tags(str(start), str(end)) for start, end in DAYS)
    drill.phase("ingest: tables", 50, partial(run, "ingest", first, RAW))
    drill.do(partial(run, "ingest", first))
    drill.phase("ingest", 30, partial(run, "ingest", later), partial(command, "ingest", later))
    today = {"dagster/partition": str(LAST)}
    drill.phase("train", 40, partial(run, "train", today), partial(command, "train", today))
    _collected(drill, run, LAST)
    _released(drill, run, spec, today)


def prepare() -> None:
    """Make the instance's databases."""
    from ml_assets.execution.runs import free_what_dead_runs_hold

    free_what_dead_runs_hold()


def _collected(drill: Drill, run: Any, day: date) -> None:
    """What the service logged arrives in pieces; each is collected by the job and published as a day's tables."""
    from ml_assets.prediction_log import publish_day
    from ml_assets.storage.log_layout import log_folder

    settings, spec = load_settings(), _spec()
    drill.do(lambda: _traffic(day, 400))
    drill.stop_serving()
    folder = log_folder(settings, spec.name)
    logged = {path: path.read_bytes().splitlines(keepends=True) for path in folder.glob("*.jsonl")}
    hours = [{"dagster/partition": f"{day}-{hour:02}:00"} for hour in (9, 13)]

    def collect() -> bool:
        done = [run("collect", hour) for hour in hours]
        publish_day(settings, spec, day)
        return all(done)

    for number in range(1, COLLECTIONS + 1):
        for path, lines in logged.items():
            path.write_bytes(b"".join(lines[: len(lines) * number // COLLECTIONS]))
        drill.phase("collect", 10, collect)


def _released(drill: Drill, run: Any, spec: ModelSpec, today: dict[str, str]) -> None:
    """A challenger goes out, is judged step by step on real traffic, and is taken back at last."""
    from ml_assets.release import begin, roll_back, step

    settings = load_settings()
    path = pointer_path(settings, spec.name)
    drill.phase("release: deployment", 4, lambda: run("train", today, ["deployment"]))
    good = require_pointer(path).model_version
    drill.do(_challenger)
    challenger = next(p for p in list_versions(settings, spec.name) if p.name != good and _cut(p))
    drill.phase("release: begun", 5, lambda: begin(settings, spec, challenger, "drill") and None)
    for _ in range(MOST_TRAFFIC):
        if read_release(release_path(settings, spec.name)) is None:
            break
        drill.do(lambda: run("train", today, ["deployment"]))
        drill.do(lambda: _traffic(LAST, 300))
        drill.stop_serving()
        drill.phase("release: step", 5, lambda: run("release", {}))
    else:
        drill.problems.append("release: it did not end")
    served = require_pointer(path).model_version
    back = good if served == challenger.name else challenger.name
    drill.phase("release: rollback", 4, lambda: roll_back(settings, spec, "drill", to=back) and None)
    drill.phase("release: after", 2, lambda: step(settings, spec) and None)


def _challenger() -> None:
    """Publish the champion's first trees as a version."""
    settings, spec = load_settings(), _spec()
    whole = load_version(require_pointer(pointer_path(settings, spec.name)).model_path)
    booster = whole.booster()
    publish_version(
        settings, spec.name, booster.model_to_string(num_iteration=max(1, booster.num_trees() // 2)), whole.run_id,
        features=whole.features, params=whole.params, training_set=whole.training_set, metrics=whole.metrics,
        created_from={**whole.created_from, "cut": True},
    )  # fmt: skip


def _cut(path: Path) -> bool:
    return bool(load_version(path).created_from.get("cut"))


def _traffic(day: date, count: int) -> None:
    """Customers ask the live service, look and click."""
    from ml_assets.demo.loop.crowd import Crowd, DayOfTraffic
    from ml_assets.storage.warehouse import some_customers

    settings = load_settings()
    simulation = read_simulation(load_source(settings.shop_file).simulation or {})
    crowd = Crowd(simulation, settings.url, _spec().serving.route, some_customers(settings, 100_000))
    found = DayOfTraffic(day)
    while found.answers < count:
        for _ in crowd.stream(day, crowd.visitors(day, count), found):
            pass
    if found.failures:
        raise RuntimeError(f"the service did not answer: {found.failures[:3]}")
    crowd.close()


def _spec() -> ModelSpec:
    return model_specs(SHOP)[0]
