"""`make bench-kill`: SIGKILLs at random moments through ingest, train, collect and release; nothing of it shows after.

A copy of the project with the smallest shop that a model can be made from goes from raw events to a released model.
Each phase is lived twice from the same files: once undisturbed, once killed at a random moment, again and again, each
time resumed by the same call as before. Then both must have the same contents (`killed_home.contents`), no file may be
there that the other life has not, no run may count as under way and no slot of a pool may be held. The killed life goes
on to the next phase, so damage would add up.

Runs are forked from this process, which has imported what they need: what is killed is at work, not importing. Some
runs are the whole command instead, with processes of its own. Killed is one process of a run (the run, the command, a
step), or all of them at once. Prints a line per phase; ends with 1 when something differs. `KILLS=200` says how many;
a phase that this leaves none for is lived through once and not compared.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from benchmarks.forked import Work, forked, undisturbed
from benchmarks.killed_home import contents, differences
from ml_assets.config.component_files import DEFS
from ml_assets.config.model_spec import model_specs, models
from ml_assets.config.settings import PROJECT, SHOP, load_settings
from ml_assets.storage.files import write_text_atomically

KILLS, QUICK, SEED = 200, 30, 12
RESULTS = "benchmarks/results/kills.json"
COPIED = ("ml_assets", "feature_repo", "dbt_project", "shops", "sources", "serving", "benchmarks")
SMALL_SHOP = """extends: simulated.yaml
name: drill
description: The smallest shop that a model can be made from.
calendar: {start: 2026-01-01, end: 2026-05-31}
simulation: {customers: 600, products: 120, categories: 8, days: 84, events_per_day: 250.0}
"""
SMALL_MODEL: dict[str, dict[str, Any]] = {
    "split": {"train": 4, "validation": 1, "test": 2, "holdout": 1},
    "tuning": {"trials": 3, "rounds": 20},
    "training": {"rounds": 30, "early_stopping": 10},
    "gate": {"metric": "ndcg_10", "confidence": 0.6, "slice_tolerance": 1.0},
    "release": {"shadow_answers": 20, "steps": [0.3, 0.6], "step_customers": 20, "customers": 60, "margin": 0.9},
}
COMMANDS = 0.2
"""Of the runs that can be a command, how many are."""
START_SECONDS = 15.0
"""How much longer a command takes than the work in it, until one was seen to end."""
MOST_TRIES = 4
"""Runs per kill at most: one that ends before its moment is no kill."""


@dataclass
class Drill:
    """Kills that were done, what is wrong afterwards, and how long each phase takes undisturbed.

    Attributes:
        home: the folder that is lived in.
        factor: of the kills that the phases ask for, how many are done.
    """

    home: Path
    factor: float
    draw: random.Random = field(default_factory=lambda: random.Random(SEED))  # a drill that can be repeated
    kills: dict[str, int] = field(default_factory=dict)
    compared: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def log(self) -> Path:
        """What the runs say."""
        return self.home.with_name("runs.log")

    def do(self, work: Work) -> None:
        """Do what is no part of the drill."""
        undisturbed(work, self.log)

    def stop_serving(self) -> None:
        """Stop the model server, if it runs: its files are about to be replaced."""
        self.do(_stop_serving)

    def phase(self, name: str, kills: int, work: Work, command: Work | None = None) -> None:
        """Do the work undisturbed; then again from the same files, killed so many times on the way; and compare.

        Args:
            name: what it is called.
            kills: how many, of `KILLS` in all.
            work: what is done.
            command: the same as a whole command, with processes of its own: a part of the killed runs.
        """
        if not round(kills * self.factor):
            return self.do(work)
        self.stop_serving()
        before, told = self.home.with_name("before"), time.monotonic()
        shutil.copytree(self.home, before, symlinks=True)
        usual = undisturbed(work, self.log)
        wanted = _contents(self.log)
        self.stop_serving()
        shutil.rmtree(self.home)
        before.rename(self.home)
        done = tries = 0
        takes = {work: usual, command: usual + START_SECONDS}
        while done < round(kills * self.factor) and tries < MOST_TRIES * kills:
            tries += 1
            way = command if command and self.draw.random() < COMMANDS else work
            ended = self._killed(way, takes[way])
            done += ended is None
            takes[way] = ended or takes[way]
        undisturbed(work, self.log)
        differ = differences(wanted, _contents(self.log))
        self.problems += [f"{name}: {each}" for each in differ]
        for each in differ:
            print(f"{name}: {each}"[:600], file=sys.stderr)
        self.compared += len(wanted)
        self.kills[name] = self.kills.get(name, 0) + done
        print(
            f"{name}: {done} kills in {tries} runs of {usual:.1f} s, {len(wanted)} things compared, {len(differ)} "
            f"differ, {time.monotonic() - told:.0f} s",
            flush=True,
        )

    def _killed(self, work: Work, usual: float) -> float | None:
        """Begin the work and kill some of it at a random moment; None, or the seconds it took when it ended before."""
        began = time.monotonic()
        run, until = forked(work, self.log), began + self.draw.uniform(0.0, usual)
        while time.monotonic() < until:
            if os.waitpid(run, os.WNOHANG)[0]:
                return time.monotonic() - began
            time.sleep(0.005)
        family = [process for process in psutil.Process(run).children(recursive=True) if not _serves(process)]
        whom = self.draw.choice(("run", "any", "all"))
        chosen = {"run": [], "any": self.draw.sample(family, min(1, len(family))), "all": family}[whom]
        for process in chosen:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if whom != "any" or not chosen:
            os.kill(run, signal.SIGKILL)
        os.waitpid(run, 0)
        return None


def _serves(process: psutil.Process) -> bool:
    """Whether it is the model server: that is no part of a run."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return any("bentoml" in part for part in process.cmdline())
    return False


def _stop_serving() -> None:
    from serving.deploy.process import stop

    stop(load_settings(), model_specs(SHOP)[0].name)


def _contents(log: Path) -> dict[str, Any]:
    """What the home has in it, by a process of its own: nothing is opened here, where runs are forked."""
    with tempfile.NamedTemporaryFile("r") as told:
        undisturbed(lambda: Path(told.name).write_text(json.dumps(contents(), default=str)) and None, log)
        said: dict[str, Any] = json.loads(Path(told.name).read_text())
        return said


def _copy(folder: Path) -> Path:
    """A copy of the project with a small shop and a quick model."""
    for name in COPIED:
        ignored = shutil.ignore_patterns("__pycache__", "target", "logs")
        shutil.copytree(PROJECT / name, folder / name, ignore=ignored)
    for name in ("pyproject.toml", "dagster.yaml"):
        shutil.copyfile(PROJECT / name, folder / name)
    (folder / "shops" / "drill.yaml").write_text(SMALL_SHOP)
    spec = models(folder / DEFS.relative_to(PROJECT))["product_recommender"][1].file
    said = yaml.safe_load(spec.read_text())
    said["attributes"] |= SMALL_MODEL
    spec.write_text(yaml.safe_dump(said))
    return folder


def begin() -> int:
    """Go through the drill in a process of the copied project."""
    kills = int(os.environ.get("KILLS") or (QUICK if os.environ.get("QUICK") else KILLS))
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        project = _copy(Path(folder) / "project")
        foreign = ("ML_ASSETS_", "DAGSTER_")
        env = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        env |= {
            "ML_ASSETS_HOME": str(Path(folder) / "home"),
            "ML_ASSETS_SHOP": "drill",
            "ML_ASSETS_PORT": os.environ.get("ML_ASSETS_PORT") or "3392",
            "ML_ASSETS_REPLAY": "true",
            "PYTHONPATH": str(project),
        }
        command = [sys.executable, "-m", "benchmarks.kills", str(kills), str(PROJECT / RESULTS)]
        return subprocess.run(command, cwd=project, env=env, check=False).returncode


def drilled(kills: int, result: Path) -> int:
    """The drill; 0 when nothing differs."""
    from benchmarks.kill_phases import live

    settings, began = load_settings(), time.monotonic()
    settings.export()
    settings.home.mkdir()
    drill = Drill(settings.home, kills / KILLS)
    try:
        live(drill)
    finally:
        _stop_serving()
    found = {"kills": drill.kills, "compared": drill.compared, "problems": drill.problems}
    text = f"{sum(drill.kills.values())} kills, {drill.compared} things compared, {len(drill.problems)} problems"
    print(f"{text}, {time.monotonic() - began:.0f} s")
    write_text_atomically(result, json.dumps({"name": "kills", **found}, indent=1) + "\n")
    return 1 if drill.problems or not drill.kills else 0


if __name__ == "__main__":
    sys.exit(drilled(int(sys.argv[1]), Path(sys.argv[2])) if len(sys.argv) > 1 else begin())
