"""The graph without a graph: one script that runs the same SQL and calls the same library, stage after stage.

What Dagster, dbt and their processes cost is what the jobs take beyond this. A stage runs in a forked child, so that
its memory is its own; imports come first, as in any script. Left out, here and there, because they are no work of the
graph: writing the files of the simulated outside world, and starting the model server.

    python -m benchmarks.peers.bare_script SQL LAST_DAY LAST_STAGE    prints a line of JSON per stage
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, NoReturn

from ml_assets.config.model_spec import ModelSpec, model_specs
from ml_assets.config.settings import SHOP, Settings, load_settings
from ml_assets.config.source_spec import SourceSpec, load_source
from ml_assets.ingestion.days.ledger import days_between

PRELOADED = ("duckdb", "pyarrow.parquet", "feast", "lightgbm", "mlflow", "optuna", "matplotlib.pyplot", "scipy.sparse")


@dataclass(frozen=True)
class Task:
    """What every stage knows: the deployment, the shop, the model, the days, dbt's compiled SQL in its order."""

    settings: Settings
    source: SourceSpec
    spec: ModelSpec
    first: date
    last: date
    sql: list[dict[str, str]]


Done = dict[str, dict[str, Any]]
"""What each finished stage returned."""


def main() -> int:
    """Run every stage; prints what each took and returned, and at last the whole."""
    began = time.monotonic()
    settings = load_settings()
    settings.export()
    source, (spec,) = load_source(settings.shop_file), model_specs(SHOP)
    sql = json.loads(Path(sys.argv[1]).read_text())
    task = Task(settings, source, spec, source.calendar.start, date.fromisoformat(sys.argv[2]), sql)
    for module in PRELOADED:
        __import__(module)
    print(json.dumps({"stage": "imports", "seconds": time.monotonic() - began}), flush=True)
    done: Done = {}
    for name, stage in STAGES.items():
        done[name] = in_child(name, stage, task, done)
        if name == sys.argv[3]:
            break
    print(json.dumps({"stage": "whole", "seconds": time.monotonic() - began}), flush=True)
    return 0


def in_child(name: str, stage: Callable[[Task, Done], dict[str, Any]], task: Task, done: Done) -> dict[str, Any]:
    """Run a stage in a forked child and print its seconds, peak MiB and what it returned.

    Raises:
        SystemExit: when the stage failed; its traceback was printed.
    """
    began = time.monotonic()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _run(stage, task, done, writer)
    os.close(writer)
    with os.fdopen(reader) as answered:
        text = answered.read()
    _, status, usage = os.wait4(child, 0)
    if status:
        raise SystemExit(f"stage {name} failed")
    answer: dict[str, Any] = json.loads(text)
    took, peak = time.monotonic() - began, usage.ru_maxrss / 1024
    print(json.dumps({"stage": name, "seconds": took, "peak_mb": peak, "answer": answer}), flush=True)
    return answer


def _run(stage: Callable[[Task, Done], dict[str, Any]], task: Task, done: Done, writer: int) -> NoReturn:
    status = 1
    try:
        answer = json.dumps(stage(task, done))
        with os.fdopen(writer, "w") as told:
            told.write(answer)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def ingested(table: str) -> Callable[[Task, Done], dict[str, Any]]:
    """The stage that lands a raw table and makes its three checks."""

    def stage(task: Task, done: Done) -> dict[str, Any]:
        from ml_assets.ingestion.audit import count_rows
        from ml_assets.ingestion.days.report import decide_quarantine
        from ml_assets.ingestion.ingest import ingest
        from ml_assets.ingestion.traffic import traffic

        report = ingest(task.source, table, task.settings, task.first, task.last)
        tolerated = decide_quarantine(report, task.source.table(table))
        good, bad = count_rows(task.settings.lake, table, days_between(task.first, task.last))
        usual = traffic(task.settings, task.source, table, task.last)
        _hold(tolerated.ok and report.rows_in == good + bad and usual.ok, tolerated.text, usual.text)
        return {"rows": good}

    return stage


def warehouse(task: Task, done: Done) -> dict[str, Any]:
    """Every model and every data test of the dbt project."""
    import duckdb

    limits: dict[str, Any] = {"threads": task.settings.threads, "memory_limit": task.settings.memory}
    with duckdb.connect(str(task.settings.warehouse), config=limits) as connection:
        for node in task.sql:
            if node["kind"] == "test":
                failures = connection.execute(f"select count(*) from ({node['sql']})").fetchall()
                _hold(failures == [(0,)], node["name"])
            else:
                connection.execute(f"create {node['kind']} {node['name']} as {node['sql']}")
    return {}


def definitions(task: Task, done: Done) -> dict[str, Any]:
    """Feast's definitions, applied to its registry."""
    from feature_repo.store import apply, open_store

    apply(open_store(task.settings))
    return {}


def online_store(task: Task, done: Done) -> dict[str, Any]:
    """The newest feature values of every key, for the model server."""
    from feature_repo.online import materialize
    from feature_repo.store import open_store
    from ml_assets.storage.warehouse import as_of

    return {"rows": sum(materialize(open_store(task.settings), as_of(task.settings)).values())}


def offline_equals_online(task: Task, done: Done) -> dict[str, Any]:
    """Training and serving read the same feature values."""
    from feature_repo.parity import check_parity
    from feature_repo.store import open_store
    from ml_assets.storage.warehouse import as_of

    _hold(check_parity(open_store(task.settings), as_of(task.settings)).ok, "offline and online differ")
    return {}


def training_set(task: Task, done: Done) -> dict[str, Any]:
    """Candidates and features as of each decision, with labels."""
    from feature_repo.store import open_store
    from ml_assets.datasets.build import build_training_set

    dataset = build_training_set(task.spec, task.settings, open_store(task.settings))
    rows = sum(count.rows for count in dataset.manifest.counts.values())
    return {"path": str(dataset.path), "rows": rows}


def refit(task: Task, done: Done) -> dict[str, Any]:
    """Whether training again would help."""
    from ml_assets.registry.promote import champion
    from ml_assets.retraining.attempt import attempt

    now = champion(task.settings, task.spec)
    _hold(attempt(task.spec, task.settings, _dataset(done), now).go_on, "not trained again")
    return {}


def tuning(task: Task, done: Done) -> dict[str, Any]:
    """The best hyperparameters of the search."""
    from ml_assets.training.tune import tune

    return dict(tune(task.spec, task.settings, _dataset(done)).params)


def candidate(task: Task, done: Done) -> dict[str, Any]:
    """A trained, published version."""
    from ml_assets.training.train import train_once

    version = train_once(task.spec, task.settings, _dataset(done), done["tuning"]).version
    return {"version": version.version, "path": str(version.path)}


def evaluation(task: Task, done: Done) -> dict[str, Any]:
    """The candidate next to every baseline, over the full catalogue."""
    from ml_assets.evaluation.evaluate import evaluate, evaluation_folder
    from ml_assets.registry.promote import champion
    from ml_assets.registry.versions import load_version

    version = load_version(Path(done["candidate"]["path"]))
    evaluate(task.spec, task.settings, _dataset(done), version, champion(task.settings, task.spec))
    return {"path": str(evaluation_folder(task.settings, task.spec.name, version.version))}


def champion(task: Task, done: Done) -> dict[str, Any]:
    """What should serve; the candidate where nothing beats the baselines, so that there is something to go on with."""
    from ml_assets.evaluation.apply_gate import pass_gate

    version = Path(done["candidate"]["path"])
    passed = pass_gate(task.spec, task.settings, version, Path(done["evaluation"]["path"]))
    return {"path": str(version if passed.champion is None else passed.champion.path)}


def retrieval_index(task: Task, done: Done) -> dict[str, Any]:
    """Candidate generation as of now."""
    from ml_assets.retrieval.publish import publish_index

    published = publish_index(task.spec, task.settings)
    return {"path": str(published.path), "as_of": published.as_of.isoformat(), "customers": published.customers}


def service(task: Task, done: Done) -> dict[str, Any]:
    """The Bento with champion and index."""
    from serving.deploy.build import build_bento

    index = done["retrieval_index"]
    as_of, version = datetime.fromisoformat(index["as_of"]), Path(done["champion"]["path"])
    build_bento(task.spec, version, task.settings, index_folder=Path(index["path"]), as_of=as_of)
    return {}


def batch_predictions(task: Task, done: Done) -> dict[str, Any]:
    """A list for every active customer."""
    from feature_repo.store import open_store
    from ml_assets.scoring.batch import predict_day

    store, version = open_store(task.settings), Path(done["champion"]["path"])
    return {"rows": predict_day(task.spec, task.settings, store, version, task.last).rows}


def _dataset(done: Done) -> Any:
    from ml_assets.datasets.training_set import DatasetRef

    return DatasetRef(Path(done["training_set"]["path"]))


def _hold(passed: bool, *why: str) -> None:
    if not passed:
        raise RuntimeError("a check failed: " + "; ".join(why))


STAGES: dict[str, Callable[[Task, Done], dict[str, Any]]] = {
    "products": ingested("products"),
    "events": ingested("events"),
    "warehouse": warehouse,
    "definitions": definitions,
    "online_store": online_store,
    "offline_equals_online": offline_equals_online,
    "training_set": training_set,
    "refit": refit,
    "tuning": tuning,
    "candidate": candidate,
    "evaluation": evaluation,
    "champion": champion,
    "retrieval_index": retrieval_index,
    "service": service,
    "batch_predictions": batch_predictions,
}
"""By the last part of the names of the assets they make."""

if __name__ == "__main__":
    sys.exit(main())
