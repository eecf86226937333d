"""A check judges every day of its run: each has a history of its own, and a range names its worst day."""

from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus as Status
from dagster._core.storage.event_log.base import PartitionKeyFilter

from ml_assets.components.daily_checks import Evaluations, Verdict, daily_check, each_day, in_all
from ml_assets.components.event_source import EventSource
from ml_assets.config.settings import PROJECT, load_settings
from ml_assets.execution.runs import range_tags
from ml_assets.ingestion.days.ledger import days_between

DAYS = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-03-01")
WEIGHTS = {date(2026, 1, 5): 1.0, date(2026, 1, 7): 3.0, date(2026, 1, 9): 2.0}
UNJUDGED = {date(2026, 1, 1), date(2026, 1, 2)}


@dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
def measured() -> None: ...


@daily_check(asset=measured, partitions_def=DAYS)
def usual(context: dg.AssetCheckExecutionContext) -> Evaluations:
    def judge(day: date) -> Verdict:
        if day in UNJUDGED:
            return Verdict(None, "no history yet")
        return Verdict(day not in WEIGHTS, f"{day} is {'odd' if day in WEIGHTS else 'usual'}", WEIGHTS.get(day, 0.0))

    yield from each_day(context, judge)


def newest(instance: dg.DagsterInstance, day: str | None = None) -> Any:
    chosen = None if day is None else PartitionKeyFilter(key=day)
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key([usual.check_key], chosen)
    return found[usual.check_key]


def run(instance: dg.DagsterInstance, first: str, last: str) -> Any:
    assert dg.materialize([measured, usual], instance=instance, tags=range_tags(first, last)).success
    return newest(instance).evaluation


def test_a_range_names_its_worst_day_and_every_day_has_its_own_result() -> None:
    with dg.instance_for_test() as instance:
        told = run(instance, "2026-01-01", "2026-01-12")
        assert (told.passed, told.severity, told.partition) == (False, dg.AssetCheckSeverity.ERROR, None)
        assert told.description == (
            "3 of 12 days did not pass (2026-01-05, 2026-01-07, 2026-01-09); worst, 2026-01-07: 2026-01-07 is odd"
        )
        assert [newest(instance, f"2026-01-0{number}").status for number in (5, 6, 7)] == [
            Status.FAILED, Status.SUCCEEDED, Status.FAILED,
        ]  # fmt: skip
        first = newest(instance, "2026-01-01").evaluation
        assert (first.passed, first.severity) == (False, dg.AssetCheckSeverity.WARN)
        assert first.description == "not judged: no history yet"


def test_what_was_odd_long_ago_is_a_warning_and_what_was_not_judged_is_said() -> None:
    with dg.instance_for_test() as instance:
        old = run(instance, "2026-01-01", "2026-01-20")
        assert (old.passed, old.severity) == (False, dg.AssetCheckSeverity.WARN)
        good = run(instance, "2026-01-02", "2026-01-04")
        assert (good.passed, good.description) == (
            True, "2026-01-04 is usual; 1 of 3 days not judged, as: no history yet",
        )  # fmt: skip
        none = run(instance, "2026-01-01", "2026-01-02")
        assert (none.passed, none.description) == (False, "not judged: no history yet")


def test_a_run_of_one_day_has_one_result() -> None:
    with dg.instance_for_test() as instance:
        assert dg.materialize([measured, usual], instance=instance, partition_key="2026-01-07").success
        assert newest(instance) == newest(instance, "2026-01-07")
        assert newest(instance).evaluation.description == "2026-01-07 is odd"


def test_days_that_add_up_do_not_hide_one_that_does_not() -> None:
    lost = {
        date(2026, 1, 1): Verdict(False, "9 in = 10 good", 1.0),
        date(2026, 1, 2): Verdict(False, "9 in = 8 good", 1.0),
    }
    found = in_all(lost, Verdict(True, "18 in = 18 good"))
    assert found.passed is False
    assert found.text.startswith("18 in = 18 good; 2 of 2 days did not pass")


FIRST, LAST = date(2026, 1, 5), date(2026, 1, 30)
DOUBLED, EMPTY = date(2026, 1, 20), date(2026, 1, 22)


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A shop of 300 views a day, one day of which has them twice and another one none."""
    (tmp_path / "shops").mkdir()
    (tmp_path / "shops" / "contract.yaml").write_text((PROJECT / "shops" / "contract.yaml").read_text())
    content = yaml.safe_load((PROJECT / "shops" / "simulated.yaml").read_text())
    del content["simulation"]
    events, products = content["tables"]["events"], content["tables"]["products"]
    events |= {"address": f"{tmp_path}/events/{{day}}.csv", "override": False}
    products |= {"address": f"{tmp_path}/products/{{day}}.csv", "traffic": {"enabled": False}}
    (tmp_path / "shops" / "odd.yaml").write_text(
        yaml.safe_dump(content | {"name": "odd", "calendar": {"start": FIRST}})
    )
    monkeypatch.setattr("ml_assets.config.settings.PROJECT", tmp_path)
    monkeypatch.setenv("ML_ASSETS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ML_ASSETS_SHOP", "odd")
    for folder in ("events", "products"):
        (tmp_path / folder).mkdir()
    head = "event_id,ts,customer_id,product_id,event_type,session_id,quantity,price,country"
    for day in days_between(FIRST, LAST):
        rows = 0 if day == EMPTY else 650 if day == DOUBLED else 300
        lines = (f"{day}-{n},{day}T10:00:00,C{n % 50},P1,view,S{n},1,10,GB" for n in range(rows))
        (tmp_path / "events" / f"{day}.csv").write_text("\n".join([head, *lines]) + "\n")
        (tmp_path / "products" / f"{day}.csv").write_text(
            f"product_id,name,category,price,available,changed_at\nP1,Mug,kitchen,10,true,{day}T00:00:00\n"
        )
    return load_settings()


def test_the_doubled_and_the_empty_day_of_a_backfill_are_named(deployment: Any) -> None:
    built = EventSource().build_defs(None)  # type: ignore[arg-type]  # the context is not used
    with dg.instance_for_test() as instance:
        parts = [*(built.assets or []), *(built.asset_checks or [])]
        assert dg.materialize(parts, instance=instance, tags=range_tags(str(FIRST), str(LAST))).success
        keys = {
            (key.asset_key.path[-1], key.name): record.evaluation
            for check in built.asset_checks or []
            for key, record in instance.event_log_storage.get_latest_asset_check_execution_by_key(
                [check.check_key]
            ).items()
        }
        usual = keys["events", "usual_traffic"]
        assert not usual.passed
        assert f"2 of 26 days did not pass ({DOUBLED}, {EMPTY}); worst, {EMPTY}: " in usual.description
        switched_off = keys["products", "usual_traffic"]
        assert (switched_off.passed, switched_off.severity) == (False, dg.AssetCheckSeverity.WARN)
        assert switched_off.description == "not judged: products: traffic.enabled is false"
        assert keys["events", "nothing_lost"].passed
