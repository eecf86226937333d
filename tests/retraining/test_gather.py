from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import date, datetime, timedelta

import dagster as dg
import duckdb
import pytest

from ml_assets.components.model_assets import training_assets
from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.datasets.training_set import DatasetRef
from ml_assets.monitoring.reports import report_path
from ml_assets.registry.release import Release, Stage, release_path, write_release
from ml_assets.registry.versions import VersionRef
from ml_assets.retraining import decide, gather, record
from ml_assets.retraining.alarms import drift_alarm, quality_alarm
from ml_assets.retraining.attempt import attempt
from ml_assets.retraining.facts import Alarm, Calendar, Cause, Outcome
from ml_assets.retraining.journal import retraining_journal
from ml_assets.storage import journal
from ml_assets.storage.warehouse import WarehouseError

FIRST, LAST = date(2011, 8, 15), date(2011, 12, 25)


@pytest.fixture
def warehouse(settings: Settings) -> Settings:
    """A warehouse with a row a day and weekly decisions whose labels are complete."""
    with duckdb.connect(str(settings.warehouse)) as made:
        made.execute(
            "create table mart_daily_counts as select cast(day as date) as event_day, 1 as events "
            "from generate_series(?::date, ?::date, interval 1 day) as days (day)",
            [FIRST, LAST],
        )
        made.execute("create table stg_events as select event_day, 'p1' as product_id from mart_daily_counts")
        made.execute("create table stg_products as select event_day, 1.5 as price from mart_daily_counts")
        made.execute(
            "create table mart_recommendation_spine as select event_day as decision_day, 3 as label "
            "from mart_daily_counts where (event_day - date '2011-10-10') % 7 = 0 and event_day + 6 <= ?",
            [LAST],
        )
    return settings


def drifted(settings: Settings, spec: ModelSpec, *days: date, persistent: bool = True, state: str = "judged") -> None:
    """A drift report of the last of these days, in which all of them raise an alarm."""
    windows = [{"day": str(day), "alarm": True} for day in days if persistent]
    fields = {"state": state, "persistent": persistent, "windows": windows, "text": f"prices, seen on {days[-1]}"}
    write(settings, spec, "drift", days[-1], fields)


def write(settings: Settings, spec: ModelSpec, name: str, day: date, fields: dict) -> None:
    path = report_path(settings, spec.name, name, day)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(fields))


def test_the_reports_are_read_as_the_monitoring_writes_them(settings: Settings, spec: ModelSpec):
    from ml_assets.monitoring.drift.summary import DriftReport, Window
    from ml_assets.monitoring.reports import write_report

    day = date(2026, 4, 19)
    window = Window(day=day, drifted=("price",), weighted_share=0.4, score_drifted=False, alarm=True)
    said = DriftReport(model=spec.name, day=day, state="judged", text="prices", persistent=True, windows=(window,))
    write_report(settings, spec.name, "drift", day, said)
    assert drift_alarm(spec, settings, date(2026, 4, 20)) == Alarm(day, "prices")


def test_the_facts_of_a_quiet_shop(warehouse: Settings, spec: ModelSpec, champion: VersionRef):
    facts = gather(spec, warehouse, ["events: nothing_lost: 3 rows"], True)
    assert facts.today == LAST + timedelta(days=1)
    assert facts.champion is not None
    assert (facts.champion.newest_decision, facts.champion.newest_label) == (date(2011, 11, 7), date(2011, 11, 13))
    assert facts.calendar == Calendar(date(2011, 12, 19), 7, fresh=date(2011, 12, 12), judged=date(2011, 12, 5))
    assert (facts.drift, facts.loss, facts.attempts, facts.code, facts.code_id) == (None, None, (), (), "")
    assert (facts.failed_data_checks, facts.in_flight) == (("events: nothing_lost: 3 rows",), True)


def test_without_a_champion_a_warehouse_or_decisions(settings: Settings, warehouse: Settings, spec: ModelSpec):
    facts = gather(spec, warehouse)
    assert facts.champion is None
    with duckdb.connect(str(settings.warehouse)) as emptied:
        emptied.execute("delete from mart_recommendation_spine")
    assert gather(spec, warehouse).calendar is None
    settings.warehouse.unlink()
    with pytest.raises(WarehouseError, match="no warehouse"):
        gather(spec, settings)


def test_an_alarm_began_when_its_first_report_says(settings: Settings, spec: ModelSpec):
    today, april = date(2026, 4, 20), {day: date(2026, 4, day) for day in range(1, 31)}
    assert drift_alarm(spec, settings, today) is None
    drifted(settings, spec, april[3], april[4])
    drifted(settings, spec, april[5], persistent=False)
    drifted(settings, spec, april[18])
    drifted(settings, spec, april[19], persistent=False, state="too few rows")
    began = Alarm(april[3], "prices, seen on 2026-04-04")
    assert drift_alarm(spec, settings, today) == began  # one quiet day, and two weeks that nobody judged
    for day in (6, 7):
        drifted(settings, spec, april[day], persistent=False)
    assert drift_alarm(spec, settings, today) == Alarm(april[18], "prices, seen on 2026-04-18")  # it had ended
    drifted(settings, spec, april[19], persistent=False)
    assert drift_alarm(spec, settings, today) is None  # it is over
    assert drift_alarm(spec, settings, april[19]) is not None
    drifted(settings, spec, april[19])
    assert drift_alarm(spec, settings, date(2026, 5, 2)) is not None  # nobody has looked since, which ends nothing
    assert drift_alarm(spec, settings, date(2026, 5, 20)) is None  # nobody has looked for a month


def test_a_loss_began_on_the_first_day_that_was_worse(settings: Settings, spec: ModelSpec):
    days = [{"day": f"2026-04-{day}", "worse": worse} for day, worse in ((10, False), (11, True), (12, True))]
    loss = {"state": "judged", "loss": True, "text": "clicks", "verdict": {"days": days}}
    write(settings, spec, "quality", date(2026, 4, 15), loss)
    assert quality_alarm(spec, settings, date(2026, 4, 16)) == Alarm(date(2026, 4, 11), "clicks")
    write(settings, spec, "quality", date(2026, 4, 16), {"state": "no reference yet", "loss": False, "verdict": None})
    assert quality_alarm(spec, settings, date(2026, 4, 17)) == Alarm(date(2026, 4, 11), "clicks")
    write(settings, spec, "quality", date(2026, 4, 17), {**loss, "loss": False})
    assert quality_alarm(spec, settings, date(2026, 4, 18)) is None


def test_a_cause_goes_from_the_report_through_the_refit_to_the_journal(
    warehouse: Settings, spec: ModelSpec, champion: VersionRef, same_world: DatasetRef
):
    drifted(warehouse, spec, LAST)
    waiting = decide(spec, gather(spec, warehouse))
    assert (waiting.retrain, waiting.cause, waiting.not_before) == (False, Cause.DRIFT, date(2012, 1, 9))
    for back in (3, 6, 9, 12, 15):
        drifted(warehouse, spec, LAST - timedelta(days=back))
    decision = decide(spec, gather(spec, warehouse))
    assert (decision.retrain, decision.cause) == (True, Cause.DRIFT)
    record(warehouse, spec, decision)
    assert not decide(spec, gather(spec, warehouse)).retrain

    tried = attempt(spec, warehouse, same_world, champion, cause=decision.cause, cause_id=decision.cause_id)
    assert not tried.go_on
    assert tried.figures["groups"] == 70
    assert [each.outcome for each in gather(spec, warehouse).attempts] == [Outcome.HELD]
    assert attempt(spec, warehouse, same_world, champion).go_on  # a person asked
    events = [entry["event"] for entry in journal.read(retraining_journal(warehouse, spec.name))]
    assert events == ["decided", "refit"]


def test_a_run_whose_refit_does_not_help_says_so_by_a_check_that_warns(
    warehouse: Settings, spec: ModelSpec, champion: VersionRef, same_world: DatasetRef, monkeypatch: pytest.MonkeyPatch
):
    for name, value in warehouse.exported.items():
        monkeypatch.setenv(name, value)

    @dg.asset(key_prefix=spec.name, group_name=spec.name)
    def training_set() -> dict[str, str]:
        return {"path": str(same_world.path)}

    (refit,) = [each for each in training_assets(spec) if each.keys == {dg.AssetKey([spec.name, "refit"])}]
    found = {}
    for cause in ("drift", ""):  # empty: a person asked, and is not held back
        config = {"ops": {f"{spec.name}__refit": {"config": {"cause": cause, "cause_id": "1"}}}}
        instance = dg.DagsterInstance.ephemeral()
        done = dg.materialize([training_set, refit], run_config=config, instance=instance)
        assert done.success
        (found[cause],) = done.get_asset_check_evaluations()
        made = {event.asset_key.path[-1] for event in done.get_asset_materialization_events()}
        assert ("refit" in made) == found[cause].passed
    assert [each.passed for each in found.values()] == [False, True]
    assert (found["drift"].check_name, found["drift"].severity) == ("helps", dg.AssetCheckSeverity.WARN)
    assert re.search("not trained again: .*does not help", str(found["drift"].description))


def test_the_first_attempt_for_a_schedule_needs_no_champion(
    warehouse: Settings, spec: ModelSpec, same_world: DatasetRef
):
    decision = decide(spec, gather(spec, warehouse), scheduled=True)
    assert (decision.retrain, decision.fresh) == (True, False)
    tried = attempt(spec, warehouse, same_world, None, cause=decision.cause, cause_id=decision.cause_id)
    assert tried.go_on
    assert "gain" not in tried.figures


def test_one_training_or_release_at_a_time(warehouse: Settings, spec: ModelSpec, champion: VersionRef):
    drift = Alarm(date(2011, 12, 1), "prices")
    assert (
        "a training is under way" in decide(spec, replace(gather(spec, warehouse, in_flight=True), drift=drift)).reason
    )
    path, when = release_path(warehouse, spec.name), datetime(2011, 12, 26)
    said = {"release_id": "r", "model_name": spec.name, "champion_version": "a", "model_version": champion.version}
    files = {"model_path": champion.path, "model_sha256": champion.sha256}
    write_release(path, Release(**said, **files, stage=Stage.SHADOW, share=0, started_at=when, changed_at=when))
    assert "a release is under way" in decide(spec, replace(gather(spec, warehouse), drift=drift)).reason
    path.write_text("broken")
    assert decide(spec, replace(gather(spec, warehouse), drift=drift)).retrain
