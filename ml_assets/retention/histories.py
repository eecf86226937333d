"""Old entries of MLflow's and Dagster's own histories: removed by these tools, so that their books agree."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_assets.config.model_spec import model_specs
from ml_assets.config.settings import Settings
from ml_assets.registry.mlflow_client import nothing_tracked, open_mlflow
from ml_assets.retention.aside import size_of, take_away
from ml_assets.retention.needed import needed

if TYPE_CHECKING:
    from dagster import AssetKey, DagsterInstance

AT_ONCE = 200
MARK = "ml_assets.pruned"
"""Tag of a run that was deleted here."""


def old_trials(settings: Settings, before: datetime) -> list[Any]:
    """Ended MLflow runs that no version that stays came from; also those that a killed removal has marked."""
    from mlflow.entities import ViewType

    if nothing_tracked(settings):
        return []
    client, found = open_mlflow(settings), []
    for spec in model_specs():
        experiment = client.get_experiment_by_name(spec.name)
        if experiment is None:
            continue
        stay, until = needed(settings, spec.name).runs, int(before.timestamp() * 1000)
        asked = f"attributes.end_time < {until}"
        page: str | None = None
        while True:
            runs = client.search_runs([experiment.experiment_id], asked, ViewType.ALL, AT_ONCE, page_token=page)
            found += [run for run in runs if run.info.run_id not in stay and _ours(run)]
            page = runs.token
            if not page:
                break
    return found


def _ours(run: Any) -> bool:
    """Runs that a person deleted by hand may still be wanted back: MLflow's trash is theirs."""
    return run.info.lifecycle_stage == "active" or MARK in run.data.tags


def remove_trials(settings: Settings, runs: Sequence[Any]) -> None:
    """Delete runs softly, then for good with their artifacts, by `mlflow gc`."""
    from mlflow.cli import gc

    client = open_mlflow(settings)
    for run in runs:
        if run.info.lifecycle_stage == "active":
            client.set_tag(run.info.run_id, MARK, "true")
            client.delete_run(run.info.run_id)
    ids = [run.info.run_id for run in runs]
    for at in range(0, len(ids), AT_ONCE):
        given = ["--backend-store-uri", settings.mlflow_uri, "--run-ids", ",".join(ids[at : at + AT_ONCE])]
        gc.main(given, standalone_mode=False)


def size_of_trials(runs: Sequence[Any]) -> int:
    """Bytes of the runs' artifacts, as far as they are files."""
    return sum(size_of(Path(run.info.artifact_uri.removeprefix("file://"))) for run in runs)


def old_runs(instance: DagsterInstance, before: datetime) -> list[str]:
    """Ids of ended Dagster runs whose events nobody asks for any more.

    A run stays that holds the newest materialization of an asset, or of one of its days: what Dagster shows as there
    would be missing otherwise. Of hours (of the prediction log) only the newest counts.
    """
    from dagster import RunsFilter
    from dagster._core.storage.dagster_run import FINISHED_STATUSES

    asked = RunsFilter(statuses=FINISHED_STATUSES, created_before=before)
    ended = [record.dagster_run.run_id for record in instance.get_run_records(asked)]
    stay = _holding(instance) if ended else set()
    return [run for run in ended if run not in stay]


def _holding(instance: DagsterInstance) -> set[str]:
    """Runs that hold the newest materialization of an asset or of a day of one."""
    from dagster import DagsterEventType

    held: set[str] = set()
    for record in instance.get_asset_records():
        last = record.asset_entry.last_materialization
        if last is not None:
            held.add(last.run_id)
        key = record.asset_entry.asset_key
        kind = DagsterEventType.ASSET_MATERIALIZATION
        newest = instance.event_log_storage.get_latest_storage_id_by_partition(key, kind)
        days = {at for partition, at in newest.items() if len(partition) <= len("2026-01-01")}
        held |= _runs_of(instance, key, sorted(days))
    return held


def _runs_of(instance: DagsterInstance, key: AssetKey, events: Sequence[int]) -> set[str]:
    from dagster import AssetRecordsFilter

    found: set[str] = set()
    for at in range(0, len(events), AT_ONCE):
        asked = AssetRecordsFilter(key, storage_ids=events[at : at + AT_ONCE])
        found |= {record.run_id for record in instance.fetch_materializations(asked, AT_ONCE).records}
    return found


def run_files(settings: Settings, run: str) -> list[Path]:
    """Files of a run beside Dagster's tables: its events' own database, and what its steps printed."""
    history = settings.dagster_home / "history"
    databases = [history / f"{run}.db{end}" for end in ("", "-wal", "-shm")]
    return [path for path in (*databases, settings.dagster_home / "storage" / run) if path.exists()]


def remove_runs(settings: Settings, instance: DagsterInstance, runs: Sequence[str]) -> None:
    """Delete runs by Dagster's own means; a run is listed until all else of it is gone, whoever is killed."""
    for run in runs:
        instance.event_log_storage.delete_events(run)
        take_away(settings, run_files(settings, run))
        instance.run_storage.delete_run(run)
