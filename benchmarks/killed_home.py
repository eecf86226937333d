"""What a home has in it, so that two lives can be compared: what depends on no kill, and what must not be left."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import duckdb

from ml_assets.config.model_spec import ModelSpec, model_specs
from ml_assets.config.settings import SHOP, Settings, load_settings
from ml_assets.config.sources import source_of
from ml_assets.ingestion.days.ledger import read_ledger
from ml_assets.ingestion.days.made import stale_days
from ml_assets.registry.history import deployments
from ml_assets.registry.pointer import current_pointer, pointer_path
from ml_assets.registry.promote import champion_version, promotions
from ml_assets.registry.release import read_release, release_path
from ml_assets.release import ledger
from ml_assets.storage import journal
from ml_assets.storage.files import exact_name, sha256_file

NOT_COMPARED = ("dagster/", "dbt/", "bentoml/", "mlflow/", "logs/", "feast/")
"""What others keep in the shop's folder: their files are not ours to name."""
NO_TIMES: dict[str, Any] = {"stamps": {}, "written": ()}
"""Of the ledger: when files were written."""
NOT_NAMED = (".lock", ".jsonl.torn", "server.json", "server.log", ".parsing")
SEGMENTS = "models/*/serving/predictions/*.jsonl"
"""The server, which no kill is meant for, begins one every five minutes; their lines are compared as tables."""


def contents() -> dict[str, object]:
    """Every fact about the home by its name; equal in two lives that did the same."""
    settings, spec = load_settings(), model_specs(SHOP)[0]
    found: dict[str, object] = {"files": _files(settings)}
    for part in (_lake, _warehouse, _features):
        found |= dict(part(settings))
    for each in (_model, _registry, _predictions, _releases):
        found |= dict(each(settings, spec))
    return found | dict(_instance(settings))


def _files(settings: Settings) -> list[str]:
    """Names of files whose content is named elsewhere or compared below; names by time or chance are cut off."""
    home = settings.shop_home
    names = (path.relative_to(home).as_posix() for path in home.rglob("*") if not path.is_dir())
    kept = (name for name in names if not name.startswith(NOT_COMPARED) and not name.endswith(NOT_NAMED))
    return sorted(name for name in kept if not fnmatch(name, SEGMENTS))


def _lake(settings: Settings) -> Iterator[tuple[str, object]]:
    for path in sorted(settings.lake.rglob("event_day=*/*.parquet")):
        yield path.relative_to(settings.shop_home).as_posix(), sha256_file(path)
    for path in sorted((settings.lake / "_ledger").glob("*.jsonl")):
        entries = read_ledger(settings.lake, path.stem)
        yield f"ledger {path.stem}", [replace(entry, **NO_TIMES).to_json() for _, entry in sorted(entries.items())]


def _warehouse(settings: Settings) -> Iterator[tuple[str, object]]:
    if not settings.warehouse.exists():
        return
    with duckdb.connect(str(settings.warehouse), read_only=True) as connection:
        names = connection.execute("select table_name from duckdb_tables() where not temporary").fetchall()
        for (name,) in sorted(names):
            yield f"warehouse {name}", _rows(connection, f'"{name}"')
    yield "stale days", stale_days(source_of(SHOP, settings), settings)


def _features(settings: Settings) -> Iterator[tuple[str, object]]:
    """The online store, by its rows."""
    path = settings.online_store
    if not isinstance(path, Path) or not path.exists():
        return
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(path)) as store:
        for (name,) in store.execute("select name from sqlite_master where type = 'table' order by 1").fetchall():
            rows = sorted(map(repr, store.execute(f'select * from "{name}"')))
            yield f"online {name}", (len(rows), _digest(rows))


def _model(settings: Settings, spec: ModelSpec) -> Iterator[tuple[str, object]]:
    home = settings.model_home(spec.name)
    for path in sorted(home.glob("versions/*/booster.txt")):
        yield path.relative_to(home).as_posix(), sha256_file(path)
    for path in sorted([*home.glob("training_sets/**/*.parquet"), *home.glob("indexes/**/*.npy")]):
        yield path.relative_to(home).as_posix(), sha256_file(path)
    for path in sorted(home.glob("batch*/**/*.parquet")):
        yield path.relative_to(home).as_posix(), sha256_file(path)
    for path in sorted(home.glob("tuning/*/journal.log")):
        import optuna

        from ml_assets.training.tune import open_study

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        trials = open_study(path, spec).trials
        yield path.parent.name, [(trial.number, trial.state.name, trial.params, trial.value) for trial in trials]
    lines = Counter(f"{line['event']} {line.get('version')}" for line in promotions(settings, spec.name))
    yield "promotions", sorted(event for event in lines.elements() if event.split()[0] in {"promoted", "demoted"})


def _registry(settings: Settings, spec: ModelSpec) -> Iterator[tuple[str, object]]:
    if not (settings.shop_home / "mlflow" / "mlflow.db").exists():
        return
    from ml_assets.registry.mlflow_client import open_mlflow

    client = open_mlflow(settings)
    yield "champion", champion_version(client, spec.name)
    known = client.search_model_versions(f"name = '{spec.name}'")
    yield "registered", sorted(each.tags.get("version", "") for each in known)
    running = client.search_runs([each.experiment_id for each in client.search_experiments()], "status = 'RUNNING'")
    yield "runs of MLflow that never ended", len(running)


def _predictions(settings: Settings, spec: ModelSpec) -> Iterator[tuple[str, object]]:
    home = settings.model_home(spec.name)
    with duckdb.connect() as connection:
        for kind in ("predictions", "shown", "outcomes", "refusals", "bad"):
            parts = [exact_name(path) for path in sorted(home.glob(f"log/*/*/{kind}-*.parquet"))]
            if parts:
                rows = connection.read_parquet(parts, union_by_name=True)  # type: ignore[arg-type]
                rows.create_view("logged")
                keep = ", ".join(f'"{name}"' for name in rows.columns if name != "collected_at")
                yield f"log {kind}", _rows(connection, f"(select {keep} from logged)")
                connection.execute("drop view logged")
        for path in sorted(home.glob("predictions/event_day=*/*.parquet")):
            name = exact_name(path).replace("'", "''")
            yield path.relative_to(home).as_posix(), _rows(connection, f"read_parquet('{name}')")


def _releases(settings: Settings, spec: ModelSpec) -> Iterator[tuple[str, object]]:
    lines = ledger.entries(settings, spec.name)
    yield (
        "releases",
        [(line["event"], line["version"], line["stage"], line["share"], bool(line.get("blocks"))) for line in lines],
    )
    path = pointer_path(settings, spec.name)
    pointer, release = current_pointer(path), read_release(release_path(settings, spec.name))
    yield "serves", pointer and pointer.model_dump_json(exclude={"deployed_at"})
    yield "on its way", release and (release.model_version, release.champion_version, release.stage, release.share)
    yield "served", [(each.pointer.model_version, each.rollback, each.blocks) for each in deployments(path)]
    for name in ("journal.jsonl", "releases.jsonl", "serving/history.jsonl", "retraining.jsonl"):
        problems = journal.readable(settings.model_home(spec.name) / name)[1]
        yield f"problems of {name}", [str(problem) for problem in problems]


def _instance(settings: Settings) -> Iterator[tuple[str, object]]:
    """Runs that count as under way, and slots that are held, as the next command sees them."""
    import dagster as dg

    from ml_assets.execution.dead_runs import end_dead_runs

    with dg.DagsterInstance.get() as instance:
        end_dead_runs(instance)
        ended = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}
        statuses = [status for status in dg.DagsterRunStatus if status not in ended]
        under_way = instance.get_runs(dg.RunsFilter(statuses=statuses))
        yield "runs under way", [f"{run.job_name} {run.status.value}" for run in under_way]
        storage = instance.event_log_storage
        infos = storage.get_concurrency_infos(sorted(storage.get_concurrency_keys()))
        yield "slots held", sorted(key for key, info in infos.items() if info.claimed_slots or info.pending_steps)


def _rows(connection: duckdb.DuckDBPyConnection, table: str) -> object:
    """How many rows, and what they are in any order; doubles are told from each other by the sum."""
    return connection.execute(f"select count(*), sum(hash(each)), bit_xor(hash(each)) from {table} as each").fetchall()


def _digest(rows: list[str]) -> str:
    import hashlib

    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


def differences(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """What is not the same, in words: of lists only the members that the other one has not."""
    said = []
    for name in sorted(wanted.keys() | found.keys()):
        before, after = wanted.get(name), found.get(name)
        if before == after:
            continue
        if isinstance(before, list) and isinstance(after, list):
            before, after = (
                [each for each in one if each not in other] for one, other in ((before, after), (after, before))
            )
        said.append(f"{name}: {after}, undisturbed {before}")
    return said
