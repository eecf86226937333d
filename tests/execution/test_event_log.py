"""The batched event log keeps what the stock one keeps."""

from pathlib import Path
from queue import Queue
from typing import Any

import dagster as dg
import pytest
import sqlalchemy
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage

from ml_assets.components.daily_checks import Evaluations, Verdict, daily_check, each_day
from ml_assets.execution.event_log import KEPT_OPEN, BatchedSqliteEventLog
from ml_assets.execution.runs import range_tags

EVALUATION = "ASSET_CHECK_EVALUATION"
DAYS = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-02-10")


@dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
def measured(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"days": len(context.partition_keys)})


@daily_check(asset=measured, partitions_def=DAYS)
def usual(context: dg.AssetCheckExecutionContext) -> Evaluations:
    yield from each_day(context, lambda day: Verdict(day.day != 7, f"{day} was looked at", metadata={"of": day.day}))


def backfilled(home: Path, storage: type[SqliteEventLogStorage], last: str = "2026-02-04") -> tuple[Any, ...]:
    """Run a backfill in one run on an instance with this event log, and read back what the UI reads."""
    overrides = {
        "event_log_storage": {
            "module": storage.__module__, "class": storage.__name__, "config": {"base_dir": str(home / "history")},
        },
        "telemetry": {"enabled": False},
    }  # fmt: skip
    with dg.instance_for_test(temp_dir=str(home), overrides=overrides) as instance:
        assert isinstance(instance.event_log_storage, storage)
        result = dg.materialize([measured, usual], instance=instance, tags=range_tags("2026-01-03", last))
        key = measured.key
        newest = instance.get_latest_materialization_event(key)
        assert newest is not None and newest.asset_materialization is not None
        logged = instance.all_logs(result.run_id)
        told = [each.get_dagster_event() for each in logged if each.is_dagster_event]
        judged = instance.event_log_storage.get_asset_check_execution_history(usual.check_key, limit=100)
        records = instance.fetch_materializations(key, limit=100).records
        return (
            result.success,
            instance.get_materialized_partitions(key),
            newest.asset_materialization.partition,
            [(record.partition_key, record.asset_materialization.metadata["days"].value) for record in records],
            [event.event_type_value for event in told],
            [each.asset_check_evaluation_data.partition for each in told if each.event_type_value == EVALUATION],
            {each.partition: (each.status, each.evaluation.description, each.evaluation.metadata) for each in judged},
        )  # fmt: skip


def test_it_keeps_what_the_stock_log_keeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "10")
    for name in ("stock", "batched"):
        (tmp_path / name).mkdir()
    batched = backfilled(tmp_path / "batched", BatchedSqliteEventLog)
    assert batched == backfilled(tmp_path / "stock", SqliteEventLogStorage)
    assert (len(batched[1]), len(batched[-1])) == (33, 34)  # a result for each day, and one for all


def test_more_days_are_not_more_transactions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    commits: list[str] = []

    def note(_: sqlalchemy.Connection) -> None:
        commits.append(last)

    sqlalchemy.event.listen(sqlalchemy.Engine, "commit", note)
    try:
        for last in ("2026-01-04", "2026-02-04"):
            (tmp_path / last).mkdir()
            backfilled(tmp_path / last, BatchedSqliteEventLog, last)
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "commit", note)
    assert commits.count("2026-01-04") == commits.count("2026-02-04") > 0


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
