"""The batched event log keeps what the stock one keeps."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.event_log import SqliteEventLogStorage

from ml_assets.components.event_log import BatchedSqliteEventLog

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
