"""MLflow, by its client only: no global state, no telemetry, no pickle."""

from __future__ import annotations

import math
import platform
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_assets.config.settings import PROJECT, Settings
from ml_assets.storage.file_lock import file_lock
from ml_assets.storage.files import sha256_file

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_SQLITE = "sqlite:///"
_PACKAGES = ("lightgbm", "numpy", "optuna", "mlflow", "feast", "duckdb", "pyarrow", "scipy")


def open_mlflow(settings: Settings) -> MlflowClient:
    """Open the tracking and registry client; makes the sqlite file (in WAL mode) on first use."""
    settings.export()
    from mlflow.tracking import MlflowClient

    uri = settings.mlflow_uri
    if not uri.startswith(_SQLITE):
        return MlflowClient(tracking_uri=uri, registry_uri=uri)
    database = Path(uri.removeprefix(_SQLITE))
    database.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(database.with_suffix(".lock")):  # two first users must not both create the tables
        connection = sqlite3.connect(database)
        connection.execute("pragma journal_mode = wal")
        connection.close()
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        client.search_experiments(max_results=1)
    return client


def nothing_tracked(settings: Settings) -> bool:
    """Whether there is no tracking yet, which `open_mlflow` would begin."""
    uri = settings.mlflow_uri
    return uri.startswith(_SQLITE) and not Path(uri.removeprefix(_SQLITE)).exists()


def experiment(client: MlflowClient, settings: Settings, name: str) -> str:
    """Id of the model's experiment, made when absent; its artifacts lie under `settings.mlflow_artifacts`."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, artifact_location=(settings.mlflow_artifacts / name).as_uri()))
        except MlflowException:  # somebody else made it meanwhile
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id)


@contextmanager
def run(client: MlflowClient, experiment_id: str, name: str, tags: Mapping[str, str]) -> Iterator[str]:
    """Open a run and yield its id; it ends FINISHED, or FAILED when the block raises.

    A run with these tags that did not end well, because its process was killed or it failed, is gone on with: what
    names that run finds in it what it should have.
    """
    same = " and ".join(
        ["attributes.status != 'FINISHED'", *(f"tags.`{tag}` = '{said}'" for tag, said in tags.items())]
    )
    left = client.search_runs([experiment_id], same, max_results=1)
    run_id = (left[0] if left else client.create_run(experiment_id, run_name=name, tags=dict(tags))).info.run_id
    if left:
        client.update_run(run_id, status="RUNNING")
    status = "FAILED"
    try:
        yield run_id
        status = "FINISHED"
    finally:
        client.set_terminated(run_id, status=status)


def log(
    client: MlflowClient,
    run_id: str,
    params: Mapping[str, Any] | None = None,
    metrics: Mapping[str, float | None] | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Log many values in one write; undefined metrics (None, NaN) are left out, `@` in names becomes `_`."""
    from mlflow.entities import Metric, Param, RunTag

    values = {name.replace("@", "_"): value for name, value in (metrics or {}).items()}
    client.log_batch(
        run_id,
        metrics=[Metric(n, float(v), 0, 0) for n, v in values.items() if v is not None and not math.isnan(v)],
        params=[Param(name, str(value)) for name, value in (params or {}).items()],
        tags=[RunTag(name, value) for name, value in (tags or {}).items()],
    )


def environment() -> dict[str, str]:
    """What else decides the bits: Python, machine, library versions and the lock file's hash."""
    lock = PROJECT / "requirements.lock"
    found = {name: version(name) for name in _PACKAGES}
    return {
        "python": sys.version.split()[0],
        "machine": f"{platform.system()} {platform.machine()}",
        **found,
        "requirements_lock": sha256_file(lock) if lock.exists() else "absent",
    }
