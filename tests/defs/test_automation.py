"""Sensors and schedules against a real instance: what they ask for, and why they do not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange
from shipped import TAXI

from ml_assets.config.model_spec import model_specs
from ml_assets.config.settings import PROJECT, SHOP, load_settings
from ml_assets.config.sources import sources_beside

MODEL = "product_recommender"
OF_MODELS = sorted({spec.source for spec in model_specs()} - {SHOP})
"""The sources beside the shop that a model is of: what ships, and what somebody added."""


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


def tick(repository: Any, name: str, instance: dg.DagsterInstance) -> Any:
    context = dg.build_sensor_context(instance=instance, repository_def=repository)
    return repository.get_sensor_def(name).evaluate_tick(context)


def test_everything_watches_from_the_start_and_can_be_switched_off(repository: Any) -> None:
    sensors = {name: repository.get_sensor_def(name) for name in ("freshness_sensor", "drift_sensor", "release_sensor")}
    assert {each.default_status for each in sensors.values()} == {dg.DefaultSensorStatus.RUNNING}
    schedules = {each.name: each.default_status for each in repository.schedule_defs}
    assert set(schedules) == {
        "daily_ingestion", "weekly_retraining", "hourly_collection", "nightly_pruning",
        *(f"{source}_{kind}" for source in OF_MODELS for kind in ("collection", "watching")),
    }  # fmt: skip
    assert set(schedules.values()) == {dg.DefaultScheduleStatus.RUNNING}


def test_every_raw_feature_model_and_deployment_asset_has_a_freshness_policy(repository: Any) -> None:
    graph = repository.asset_graph
    groups = {"raw", "staging", "intermediate", "features", "marts", "feature_store"}
    named = {"training_set", "candidate", "champion", "service", "deployment", "retrieval_index"}
    asked = [
        key
        for key in graph.get_all_asset_keys()
        if graph.get(key).group_name in groups or (key.path[0] == MODEL and key.path[-1] in named)
    ]
    assert len(asked) > 25
    assert [key for key in asked if graph.get(key).freshness_policy_or_from_metadata is None] == []


def test_a_deployment_that_has_nothing_yet_waits_and_says_what_for(
    repository: Any, instance: dg.DagsterInstance
) -> None:
    told = tick(repository, "freshness_sensor", instance)
    assert "simulated has no data yet: its first day is 2026-01-01" in told.skip_message
    if "chicago_taxi" in OF_MODELS:
        assert "chicago_taxi has no data yet" in told.skip_message
    assert told.run_requests == []
    assert "job `ingest`" in tick(repository, "drift_sensor", instance).skip_message
    assert "no release under way" in tick(repository, "release_sensor", instance).skip_message


def report(instance: dg.DagsterInstance, key: dg.AssetKey, state: FreshnessState) -> None:
    change = FreshnessStateChange(
        key=key, new_state=state, previous_state=FreshnessState.PASS, state_change_timestamp=0.0
    )
    instance._report_runless_asset_event(change)


def test_late_raw_data_leads_to_the_days_that_are_due(repository: Any, instance: dg.DagsterInstance) -> None:
    report(instance, dg.AssetKey(["shop", "events"]), FreshnessState.FAIL)
    [asked] = tick(repository, "freshness_sensor", instance).run_requests
    assert asked.job_name == "ingest"  # nothing serves that is to be renewed
    assert asked.tags["ml_assets/cause"] == "freshness"
    assert asked.tags["dagster/asset_partition_range_start"] == "2026-01-01"
    assert asked.tags["dagster/asset_partition_range_end"] == "2026-05-31"


def test_late_data_that_has_not_arrived_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ml_assets.config.source_spec import load_source
    from ml_assets.ingestion.days.arrivals import arrivals

    monkeypatch.setenv("ML_ASSETS_HOME", str(tmp_path))
    source = load_source(PROJECT / "shops" / "simulated.yaml").model_copy(update={"simulation": None})
    found = arrivals(source, load_settings(), date(2026, 2, 1))
    assert found.days is None
    assert "waiting for 2026-01-01" in found.why


def test_a_model_beyond_its_age_is_trained_again(repository: Any, instance: dg.DagsterInstance) -> None:
    report(instance, dg.AssetKey([MODEL, "champion"]), FreshnessState.FAIL)
    [asked] = tick(repository, "freshness_sensor", instance).run_requests
    assert (asked.job_name, asked.tags["ml_assets/cause"]) == ("retrain", "age")
    assert asked.run_config["ops"][f"{MODEL}__refit"]["config"]["cause"] == "age"
    dg.validate_run_config(repository.get_job("retrain"), asked.run_config)


def test_one_retraining_in_flight_is_enough(repository: Any, instance: dg.DagsterInstance) -> None:
    instance.create_run_for_job(
        repository.get_job("retrain"), status=dg.DagsterRunStatus.STARTED, tags={"ml_assets/model": MODEL}
    )
    report(instance, dg.AssetKey([MODEL, "champion"]), FreshnessState.FAIL)
    assert tick(repository, "freshness_sensor", instance).run_requests == []


def test_the_weekly_schedule_rests_when_the_calendar_has_ended(repository: Any, instance: dg.DagsterInstance) -> None:
    schedule = repository.get_schedule_def("weekly_retraining")
    after = dg.build_schedule_context(instance=instance, scheduled_execution_time=datetime(2026, 9, 7, 5, tzinfo=UTC))
    assert "calendar ended" in schedule.evaluate_tick(after).skip_message
    while_open = dg.build_schedule_context(
        instance=instance, repository_def=repository, scheduled_execution_time=datetime(2026, 6, 1, 5, tzinfo=UTC)
    )
    assert "job `ingest`" in schedule.evaluate_tick(while_open).skip_message


def judge(instance: dg.DagsterInstance, asset: list[str], check: str, *, passed: bool) -> None:
    found = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(asset), check_name=check, passed=passed, metadata={}, severity=dg.AssetCheckSeverity.ERROR
    )
    instance.report_runless_asset_event(found)


@pytest.mark.parametrize(
    ("asset", "check", "source"),
    [
        (["shop", "events"], "nothing_lost", "shop"),
        (["feast", "online_store"], "offline_equals_online", "shop"),
        *(([source, next(iter(sources_beside()[source].tables))], "nothing_lost", source) for source in OF_MODELS),
        *(([source, "online_store"], "offline_equals_online", source) for source in OF_MODELS),
    ],
)
def test_bad_data_of_a_source_holds_back_its_own_models_only(
    repository: Any, instance: dg.DagsterInstance, asset: list[str], check: str, source: str
) -> None:
    from ml_assets.defs.automation import failed_data_checks

    context = dg.build_sensor_context(instance=instance, repository_def=repository)
    judge(instance, asset, check, passed=False)
    [said] = failed_data_checks(context, source)
    assert said.startswith(f"{'/'.join(asset)}: {check}")
    for other in {"shop", *OF_MODELS} - {source}:
        assert failed_data_checks(context, other) == []
    judge(instance, asset, check, passed=True)
    assert failed_data_checks(context, source) == []


@TAXI
def test_a_source_whose_calendar_has_ended_need_not_be_fresh(repository: Any) -> None:
    graph = repository.asset_graph
    asked = [key for key in graph.get_all_asset_keys() if graph.get(key).group_name in {"chicago_taxi", "taxi_tips"}]
    assert len(asked) > 15
    assert [key for key in asked if graph.get(key).freshness_policy_or_from_metadata is not None] == []


@TAXI
def test_what_was_late_before_its_calendar_ended_is_passed_over(repository: Any, instance: dg.DagsterInstance) -> None:
    report(instance, dg.AssetKey(["chicago_taxi", "trips"]), FreshnessState.FAIL)
    report(instance, dg.AssetKey(["taxi_tips", "champion"]), FreshnessState.FAIL)
    said = tick(repository, "freshness_sensor", instance)
    assert said.run_requests == []
    assert "chicago_taxi has no data yet" in said.skip_message
