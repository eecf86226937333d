"""What watches the models of sources beside the shop: which day, which hour, and why not."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest

from ml_assets.config.model_spec import model_specs
from ml_assets.config.settings import SHOP, load_settings
from ml_assets.storage.log_layout import log_folder

BESIDE = [spec for spec in model_specs() if spec.source != SHOP]
pytestmark = pytest.mark.skipif(not BESIDE, reason="this deployment has no source beside the shop")
MODEL = BESIDE[0] if BESIDE else model_specs()[0]
NIGHT = datetime(2026, 9, 7, 4, tzinfo=UTC)


def tick(repository: Any, name: str) -> Any:
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(
            instance=instance, repository_def=repository, scheduled_execution_time=NIGHT
        )
        return repository.get_schedule_def(name).evaluate_tick(context)


def logged(day: str) -> None:
    folder = log_folder(load_settings(), MODEL.name)
    folder.mkdir(parents=True)
    refusal = {"kind": "refusal", "time": f"{day}T12:00:00+00:00", "status": 422, "latency_ms": 1.0, "error": "no"}
    (folder / "20260906T000000000000-999999999.jsonl").write_text(json.dumps(refusal) + "\n")


def test_services_that_logged_nothing_are_not_watched_and_say_so(repository: Any) -> None:
    assert "logged nothing in the 7 days up to 2026-09-06" in tick(repository, f"{MODEL.source}_watching").skip_message
    assert "nothing new" in tick(repository, f"{MODEL.source}_collection").skip_message


def test_what_was_logged_is_collected_by_hour_and_watched_by_day(repository: Any) -> None:
    from ml_assets.prediction_log import collect

    logged("2026-09-05")
    [asked] = tick(repository, f"{MODEL.source}_collection").run_requests
    assert asked.partition_key == "2026-09-07-03:00", "an hour that is over"
    collect(load_settings(), MODEL.name)
    assert "nothing new" in tick(repository, f"{MODEL.source}_collection").skip_message
    [asked] = tick(repository, f"{MODEL.source}_watching").run_requests
    assert asked.partition_key == "2026-09-06", "a day of silence after one of traffic is looked at"


def test_the_jobs_of_a_source_know_their_days_and_hours(repository: Any) -> None:
    watch, collect = (repository.get_job(f"{MODEL.source}_{name}") for name in ("watch", "collect"))
    assert watch.partitions_def.has_partition_key("2026-09-06")
    assert collect.partitions_def.has_partition_key("2026-09-07-04:00")
