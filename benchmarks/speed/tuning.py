"""Hyperparameter search: how long until it has found as good a model as a plain Optuna loop finds.

The loop makes its trials; its best validation NDCG@10 is the score to reach, and its time is that of all its trials:
before the last one nobody knows which was the best. Ours is timed until a complete trial of it first reaches it. A row
of its own has the loop timed only until its own best trial, which gives it its luck: by the first count the loop
against another run of itself has a median ratio of about 1, by the second of about a half. Both begin with the same
training set on the disk, draw from the same space, train on the same groups and take the same score of a trial: the
best over its rounds. The loop has Optuna's default sampler; that ours begins with the defaults and leaves random draws
for TPE sooner is part of what is compared.

What a search takes is luck too: several seeds are run, and the one with the median ratio is the result; a seed whose
score ours never reached counts as infinitely slow. The floor is the winning trial alone, as if its parameters had been
known. Quick: a small search on a small shop, and both only make as many trials; one race to a score would be a lottery.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import inf, isinf
from pathlib import Path
from typing import Any

from benchmarks.speed import child
from benchmarks.speed.home import FULL, SMALL, demo_settings
from benchmarks.speed.result import Result
from ml_assets.config.model_spec import SHOP, ModelSpec, TuningSpec, model_specs
from ml_assets.config.settings import Settings
from ml_assets.datasets.training_set import DatasetRef

SEEDS = {True: (7,), False: (7, 8, 9, 10, 11)}
TRIALS = {True: 5, False: 12}
"""Trials of the plain loop."""
QUICK = {"rounds": 40, "sample_groups": 500}
"""What a trial of the quick search is."""
PATIENCE = 3
"""Ours may make so many times the loop's trials before it counts as never getting there."""


@dataclass(frozen=True)
class _Race:
    """Seconds until the score was reached; infinitely many where it never was. `lucky`: until the loop's best trial."""

    ours: float
    peer: float
    lucky: float
    floor: float
    peak_mb: float


def measure(quick: bool, work: Path) -> Iterator[Result]:
    """One race per seed."""
    settings, (spec,) = demo_settings(work, SMALL if quick else FULL), model_specs(SHOP)
    dataset = DatasetRef(next((settings.model_home(spec.name) / "training_sets").iterdir()))
    if quick:
        spec = spec.model_copy(update={"tuning": spec.tuning.model_copy(update=QUICK)})
    races = []
    for seed in SEEDS[quick]:
        seeded = spec.model_copy(update={"training": spec.training.model_copy(update={"seed": seed})})
        races.append(_race(seeded, settings, dataset, TRIALS[quick], work / "tuning", to_score=not quick))
        print(f"   seed {seed}: {races[-1].peer:.1f} s and {races[-1].ours:.1f} s", flush=True)
    seeds = "one seed" if quick else f"median of {len(races)} seeds"
    scale = f"{TRIALS[quick]} trials of {spec.tuning.sample_groups:,} groups, {seeds}"
    name = f"tuning: {'as many trials as' if quick else 'to the score of'} a plain loop"
    race = _middle(races, lambda race: race.peer)
    yield Result(name, scale, race.ours, race.peer, race.floor, peak_mb=race.peak_mb)
    if not quick:
        race = _middle(races, lambda race: race.lucky)
        yield Result(f"{name}, that one until its best trial", scale, race.ours, race.lucky, race.floor)


def _middle(races: list[_Race], loop: Callable[[_Race], float]) -> _Race:
    """The race whose ratio of the loop's time to ours is the median.

    Raises:
        RuntimeError: when ours never reached the score in most races.
    """
    race = sorted(races, key=lambda race: loop(race) / race.ours)[(len(races) - 1) // 2]
    if isinf(race.ours):
        raise RuntimeError(f"the plain loop's score was not reached in {PATIENCE} times its trials, for most seeds")
    return race


def _race(
    spec: ModelSpec, settings: Settings, dataset: DatasetRef, trials: int, folder: Path, *, to_score: bool
) -> _Race:
    said = {"dataset": str(dataset.path), "threads": settings.threads}
    plain = child.run("benchmarks.peers.plain_optuna:search", spec=_with_trials(spec, trials), **said).answer["best"]
    took, target = plain[-1]
    lucky = next(seconds for seconds, value in plain if value >= target)
    shutil.rmtree(folder, ignore_errors=True)
    ran = child.run(
        "benchmarks.speed.tuning:search",
        spec=_with_trials(spec, trials * PATIENCE if to_score else trials),
        home=str(folder),
        reach=target if to_score else None,
        **said,
    )
    params = ran.answer["params"]
    floor = child.run("benchmarks.speed.tuning:one_trial", spec=_with_trials(spec, 1), params=params, **said)
    reached = not to_score or ran.answer["best"][-1][1] >= target
    return _Race(ran.seconds if reached else inf, took, lucky, floor.seconds, ran.peak_mb)


def _with_trials(spec: ModelSpec, trials: int) -> str:
    tuning = TuningSpec(**{**spec.tuning.model_dump(), "trials": trials})
    return spec.model_copy(update={"tuning": tuning}).model_dump_json()


class _ReachedError(Exception):
    """The search may end."""


def search(*, dataset: str, spec: str, threads: int, home: str, reach: float | None) -> dict[str, Any]:
    """Ours: `tune`, ended when it reaches the score, if any; `best` is [seconds so far, best] per trial."""
    import lightgbm as _lightgbm  # noqa: F401 - before the clock runs
    import optuna

    from ml_assets.training.tune import open_study, tune

    model = ModelSpec.model_validate_json(spec)
    settings = Settings(home=Path(home), shop="simulated", threads=threads)
    best: list[tuple[float, float]] = []
    study: optuna.Study | None = None

    def told(*_: object) -> None:
        nonlocal study
        (journal,) = settings.model_home(model.name).glob("tuning/*/journal.log")
        study = open_study(journal, model)
        best.append((time.perf_counter() - began, study.best_value))
        if reach is not None and study.best_value >= reach:
            raise _ReachedError

    began = time.perf_counter()
    with suppress(_ReachedError):
        tune(model, settings, DatasetRef(Path(dataset)), told)
    return {"seconds": best[-1][0], "best": best, "params": study.best_params if study else {}}


def one_trial(*, dataset: str, spec: str, threads: int, params: dict[str, Any]) -> dict[str, Any]:
    """The floor: read, bin, train with these parameters until it gets no better."""
    import lightgbm as _lightgbm  # noqa: F401

    from ml_assets.datasets.sampling import sample_groups
    from ml_assets.datasets.split import Part
    from ml_assets.datasets.training_set import load_frame, load_rows
    from ml_assets.training import booster as ranker

    model, read = ModelSpec.model_validate_json(spec), DatasetRef(Path(dataset))
    settings = Settings(home=Path(dataset), shop="simulated", threads=threads)
    began = time.perf_counter()
    features = read.manifest.features
    rows = load_rows(read, Part.TRAIN, features, model)
    rows = rows.take(sample_groups(rows.sizes, model.tuning.sample_groups, model.training.seed))
    frame = load_frame(read, Part.VALIDATION, features, model)
    all_params = ranker.parameters(model, settings, params)
    train = ranker.binned(rows, features, all_params)
    validation = ranker.binned(frame.rows, features, all_params, reference=train)
    stop = ranker.stop_early(model.training.early_stopping)
    metric = ranker.ValidationNdcg(frame, model.relevance_threshold)
    ranker.fit(all_params, train, model.tuning.rounds, validation, metric, callbacks=[stop])
    return {"seconds": time.perf_counter() - began}
