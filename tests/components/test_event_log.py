"""The batched event log keeps what the stock one keeps."""

from pathlib import Path
from queue import Queue
from typing import Any

import dagster as dg
import pytest
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage

from ml_assets.components.event_log import KEPT_OPEN, BatchedSqliteEventLog

DAYS = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-02-10")


@dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
def measured(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"days": len(context.partition_keys)})


def backfilled(home: Path, storage: type[SqliteEventLogStorage]) -> tuple[Any, ...]:
    """Run a backfill in one run on an instance with this event log, and read back what the UI reads."""
    overrides = {
        "event_log_storage": {
            "module": storage.__module__, "class": storage.__name__, "config": {"base_dir": str(home / "history")},
        },
        "telemetry": {"enabled": False},
    }  # fmt: skip
    with dg.instance_for_test(temp_dir=str(home), overrides=overrides) as instance:
        assert isinstance(instance.event_log_storage, storage)
        tags = {"dagster/asset_partition_range_start": "2026-01-03", "dagster/asset_partition_range_end": "2026-02-04"}
        result = dg.materialize([measured], instance=instance, tags=tags)
        key = measured.key
        newest = instance.get_latest_materialization_event(key)
        assert newest is not None and newest.asset_materialization is not None
        logged = instance.all_logs(result.run_id)
        records = instance.fetch_materializations(key, limit=100).records
        return (
            result.success,
            instance.get_materialized_partitions(key),
            newest.asset_materialization.partition,
            [(record.partition_key, record.asset_materialization.metadata["days"].value) for record in records],
            [event.get_dagster_event().event_type_value for event in logged if event.is_dagster_event][-3:],
        )  # fmt: skip


def test_it_keeps_what_the_stock_log_keeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "10")
    for name in ("stock", "batched"):
        (tmp_path / name).mkdir()
    batched = backfilled(tmp_path / "batched", BatchedSqliteEventLog)
    assert batched == backfilled(tmp_path / "stock", SqliteEventLogStorage)
    assert len(batched[1]) == 33


def entry(run: str, message: str) -> EventLogEntry:
    return EventLogEntry(
        error_info=None, level=20, user_message=message, run_id=run, timestamp=1_780_000_000.0, step_key="step"
    )


def said(log: SqliteEventLogStorage, run: str) -> list[str]:
    return [each.user_message for each in log.get_logs_for_run(run)]


def test_more_runs_than_stay_open_are_kept_all_the_same(tmp_path: Path) -> None:
    log = BatchedSqliteEventLog(str(tmp_path))
    runs = [f"run{number}" for number in range(KEPT_OPEN + 3)]
    for message in ("begun", "ended"):
        for run in runs:
            log.store_event(entry(run, message))
    for reader in (log, SqliteEventLogStorage(str(tmp_path))):
        assert all(said(reader, run) == ["begun", "ended"] for run in runs)
    log.wipe()
    assert said(log, runs[0]) == []
    log.dispose()


def test_a_watcher_hears_of_each_event(tmp_path: Path) -> None:
    log, heard = BatchedSqliteEventLog(str(tmp_path)), Queue[str]()
    log.store_event(entry("run", "before"))
    log.watch("run", None, lambda event, cursor: heard.put(event.user_message))
    log.store_event(entry("run", "after"))
    try:
        assert [heard.get(timeout=20), heard.get(timeout=20)] == ["before", "after"]
    finally:
        log.dispose()
