"""Hyperparameter search: Optuna with pruning; killed and resumed it makes the trials it would have made."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.datasets.sampling import sample_groups
from ml_assets.datasets.split import Part
from ml_assets.datasets.training_set import DatasetRef, Rows, load_rows
from ml_assets.registry.mlflow_client import environment, experiment, log, open_mlflow, run
from ml_assets.storage.file_lock import file_lock
from ml_assets.storage.journal import trim_torn_line
from ml_assets.training import booster as ranker
from ml_assets.training.validation import load_validation, metric_name

if TYPE_CHECKING:
    import lightgbm
    import optuna

Progress = Callable[[str, int, int], None]

WARMUP_ROUNDS = 20
"""Rounds every trial gets before it may be pruned: how trials rank before says little about how they end. Until then
only every fifth round is scored, for hardly a trial is best that early and scoring is a fifth of a round's work."""

BINNED_ON = 20_000
"""Rows a search takes its bins from; trials differ by far more than bins from more rows would."""

SIDE_BY_SIDE = 2
"""Trials that run at the same time, each with its share of the threads: on the rows of a search, trees of two boosters
take less time than one booster's trees with twice the threads."""

UNSEEN = 2
"""Trials just before its own that a trial knows nothing of: it may begin before they end, and when they do changes
nothing. One more than run beside it, so that a slow one holds nobody up."""


EVENTS = 40
"""Labelled events that count as one training group: about as many rows as a list has."""


@dataclass(frozen=True)
class TuningResult:
    """The best parameters found and their validation metric; empty when there was no trial."""

    params: Mapping[str, Any]
    value: float | None
    complete: int
    pruned: int
    journal: Path | None


def tune(spec: ModelSpec, settings: Settings, dataset: DatasetRef, progress: Progress | None = None) -> TuningResult:
    """Search on a sample of the training groups for the best value of the task's validation metric.

    The first trial is the defaults, so that tuning never returns worse than them. The study is kept in
    `<model_home>/tuning/<key>/journal.log`, keyed by training set and spec: a finished one is only read, a
    killed one goes on where it was. Every trial becomes an MLflow run.

    Args:
        spec: the model.
        settings: the deployment.
        dataset: the training set.
        progress: called with (message, trials done, trials in all).
    """
    if not spec.tuning.trials:
        return TuningResult({}, None, 0, 0, None)
    folder = settings.model_home(spec.name) / "tuning" / study_key(spec, settings, dataset)
    folder.mkdir(parents=True, exist_ok=True)
    with file_lock(folder / ".lock"):
        study = open_study(folder / "journal.log", spec)
        if len(study.get_trials(deepcopy=False)) < spec.tuning.trials:
            _search(study, spec, settings, dataset, progress)
        _record(study, spec, settings, dataset, folder.name)
        states = [trial.state.name for trial in study.trials]
        return TuningResult(
            params=dict(study.best_params),
            value=abs(float(study.best_value)),
            complete=states.count("COMPLETE"),
            pruned=states.count("PRUNED"),
            journal=folder / "journal.log",
        )


def study_key(spec: ModelSpec, settings: Settings, dataset: DatasetRef) -> str:
    """Content address of a study: everything its trials depend on except how many there are."""
    said = {
        "training_set": dataset.fingerprint,
        "tuning": spec.tuning.model_dump(exclude={"trials", "timeout_seconds"}),
        "params": ranker.parameters(spec, settings),
        "search": [SIDE_BY_SIDE, UNSEEN, WARMUP_ROUNDS, BINNED_ON],
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def open_study(journal: Path, spec: ModelSpec) -> optuna.Study:
    """Open or create the study; a torn last line is trimmed. It holds ended trials only, in their order."""
    import optuna
    from optuna.storages.journal import JournalFileBackend, JournalStorage
    from optuna.storages.journal._file import BaseJournalFileLock

    class HeldOutside(BaseJournalFileLock):
        """The study's folder is locked while it is open; Optuna's lock files would outlive a kill."""

        def acquire(self) -> bool:
            return True

        def release(self) -> None:
            return None

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    trim_torn_line(journal)
    return optuna.create_study(
        study_name=spec.name,
        storage=JournalStorage(JournalFileBackend(str(journal), lock_obj=HeldOutside())),
        direction="maximize",
        load_if_exists=True,
    )


def _search(
    study: optuna.Study, spec: ModelSpec, settings: Settings, dataset: DatasetRef, progress: Progress | None
) -> None:
    """Run trials, `SIDE_BY_SIDE` at a time, and add each to the study when the ones before it are in."""
    objective = _objective(spec, settings, dataset)
    started = time.monotonic()
    running: deque[Future[optuna.trial.FrozenTrial]] = deque()
    with ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="trial") as pool:
        while True:
            done = len(known := study.get_trials(deepcopy=False))
            elapsed = time.monotonic() - started
            timed_out = bool(spec.tuning.timeout_seconds and done and elapsed > spec.tuning.timeout_seconds)
            while (number := done + len(running)) < spec.tuning.trials and len(running) <= UNSEEN and not timed_out:
                running.append(pool.submit(_trial, number, known[: max(number - UNSEEN, 0)], objective, spec))
            if not running:
                return
            study.add_trial(running.popleft().result())
            if progress:
                told = f"best {metric_name(spec).replace('_', ' ')} {abs(study.best_value):.4f}"
                progress(told, done + 1, spec.tuning.trials)


def _trial(
    number: int, before: list[optuna.trial.FrozenTrial], objective: Callable[[optuna.Trial], float], spec: ModelSpec
) -> optuna.trial.FrozenTrial:
    """Run the trial of that number as if only `before` had been: neither time nor a kill has a say in what it is.

    It is drawn by a sampler seeded by its number, and pruned by what `before` holds.
    """
    import optuna

    seed = int(np.random.SeedSequence([spec.training.seed, number]).generate_state(1)[0])
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=4)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.add_trials(before)
    if number == 0:
        defaults = ranker.defaults(spec.task)
        study.enqueue_trial({name: defaults[name] for name in SPACE if name in defaults})
    study.optimize(objective, n_trials=1)
    return study.trials[-1]


SPACE: dict[str, Callable[[optuna.Trial], Any]] = {
    "learning_rate": lambda trial: trial.suggest_float("learning_rate", 0.04, 0.2, log=True),
    "num_leaves": lambda trial: trial.suggest_int("num_leaves", 15, 63, log=True),
    "min_data_in_leaf": lambda trial: trial.suggest_int("min_data_in_leaf", 20, 400, log=True),
    "feature_fraction": lambda trial: trial.suggest_float("feature_fraction", 0.3, 1.0),
    "lambda_l2": lambda trial: trial.suggest_float("lambda_l2", 0.01, 30.0, log=True),
    "lambdarank_truncation_level": lambda trial: trial.suggest_int("lambdarank_truncation_level", 10, 40),
}
"""What is searched. Nothing here changes the bins, so that all trials share one binned data set."""


def _objective(spec: ModelSpec, settings: Settings, dataset: DatasetRef) -> Callable[[optuna.Trial], float]:
    import optuna

    features = dataset.manifest.features
    rows = load_rows(dataset, Part.TRAIN, features, spec)
    rows = rows.take(sample_groups(rows.sizes, _groups(spec), spec.training.seed))
    judged = load_validation(spec, dataset)
    metric, better = judged.metric, 1 if judged.metric.higher else -1
    space = {name: draw for name, draw in SPACE.items() if name in ranker.defaults(spec.task)}
    fixed = {"bin_construct_sample_cnt": BINNED_ON, **ranker.parameters(spec, settings)}
    train, validation = _binned_pair(rows, judged.rows, features, fixed)
    rounds = spec.tuning.rounds
    share = settings.model_copy(update={"threads": max(settings.threads // SIDE_BY_SIDE, 1)})

    def objective(trial: optuna.Trial) -> float:
        params = ranker.parameters(spec, share, {name: draw(trial) for name, draw in space.items()})
        earlier = [each.intermediate_values for each in trial.study.get_trials(deepcopy=False)[: trial.number]]
        best, at = -math.inf, 0
        for number, booster in ranker.boost(params, train, validation, rounds):
            if number % 5 and number < min(WARMUP_ROUNDS, rounds):
                continue
            score = better * booster.eval_valid(metric)[0][2]
            if score > best:
                best, at = score, number
                trial.set_user_attr("rounds", at)
            if number % 5 == 0:
                trial.report(best, number)
                if WARMUP_ROUNDS <= number < rounds and lags(best, number, rounds, earlier):
                    raise optuna.TrialPruned
            if number - at >= spec.training.early_stopping:
                break
        return best

    return objective


def _groups(spec: ModelSpec) -> int:
    """Training groups a trial sees at most; an event is a small one."""
    return spec.tuning.sample_groups * (1 if spec.ranks else EVENTS)


def lags(best: float, number: int, rounds: int, earlier: Sequence[Mapping[int, float]]) -> bool:
    """Whether a trial's best score so far is no longer among those that go on after this round.

    The share that goes on is 1 - (number / rounds)^2: nearly all after a quarter of the rounds, three quarters halfway,
    half after seven tenths. In recorded trials the rank after a quarter of the rounds had a correlation of .1 to .3
    with the final one, halfway .4 to .6, after three quarters .7 to .9: those that end best often begin badly.

    Args:
        best: the trial's best score in its first `number` rounds.
        number: rounds it has had.
        rounds: rounds a trial has at most.
        earlier: best score so far by round, of each earlier trial; one that ended before counts with what it had then.
    """
    reached = [max((score for at, score in scores.items() if at <= number), default=best) for scores in earlier]
    return sum(score > best for score in reached) > (1 - (number / rounds) ** 2) * len(reached)


def _binned_pair(
    rows: Rows, validation: Rows, features: tuple[str, ...], params: Mapping[str, Any]
) -> tuple[lightgbm.Dataset, lightgbm.Dataset]:
    train = ranker.binned(rows, features, params)
    return train, ranker.binned(validation, features, params, reference=train)


def _record(study: optuna.Study, spec: ModelSpec, settings: Settings, dataset: DatasetRef, key: str) -> None:
    """Log every ended trial that MLflow does not have yet: one run each, tagged by study and number."""
    client = open_mlflow(settings)
    where = experiment(client, settings, spec.name)
    whole = f"tags.study = '{key}' and attributes.status = 'FINISHED'"
    known = {found.data.tags["trial"] for found in client.search_runs([where], whole, max_results=10_000)}
    for trial in study.get_trials(deepcopy=False):
        if not trial.state.is_finished() or str(trial.number) in known:
            continue
        tags = {
            "kind": "trial",
            "study": key,
            "trial": str(trial.number),
            "training_set": dataset.fingerprint,
        }
        with run(client, where, f"trial {trial.number}", {**tags, "state": trial.state.name}) as run_id:
            last = trial.intermediate_values.get(max(trial.intermediate_values, default=-1))
            value = trial.value if trial.value is not None else last
            log(
                client,
                run_id,
                params={**ranker.parameters(spec, settings, trial.params), **dataset.described()},
                metrics={
                    metric_name(spec): None if value is None else abs(value),
                    "rounds": trial.user_attrs.get("rounds"),
                },
                tags={f"env.{name}": value for name, value in environment().items()},
            )
