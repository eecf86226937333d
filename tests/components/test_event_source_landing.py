"""A table with a source in the asset graph: landing feeds the table, in one run and in jobs of their own."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

import ml_assets.config.settings
import ml_assets.defs.arrivals
from ml_assets.components.event_source import EventSource
from ml_assets.config.settings import PROJECT, Settings, load_settings
from ml_assets.config.sources import sources_beside
from ml_assets.definitions import defs
from ml_assets.defs.arrivals import arriving
from ml_assets.execution.runs import range_tags
from ml_assets.ingestion.publish import part

FIRST = datetime.now(UTC).date() - timedelta(days=3)
EVENTS = ("event_id", "ts", "customer_id", "product_id", "event_type", "session_id", "quantity", "price", "country")


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A shop that trades since three days, whose events are in a database and whose catalogue is delivered."""
    (tmp_path / "shops").mkdir()
    (tmp_path / "shops" / "contract.yaml").write_text((PROJECT / "shops" / "contract.yaml").read_text())
    content = yaml.safe_load((PROJECT / "shops" / "simulated.yaml").read_text())
    del content["simulation"]
    content |= {"name": "sold", "calendar": {"start": FIRST}}
    events = content["tables"]["events"]
    del events["address"], events["override"]
    events["source"] = {
        "kind": "sql", "address": "${SHOP_DB}", "table": "events", "cursor": "id", "overlap": 100, "day": "ts",
        "every": "0 seconds", "settles": "0 seconds",  # else the newest day is not whole until a quarter past midnight
    }  # fmt: skip
    (tmp_path / "shops" / "sold.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.setattr(ml_assets.config.settings, "PROJECT", tmp_path)
    monkeypatch.setenv("ML_ASSETS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ML_ASSETS_SHOP", "sold")
    monkeypatch.delenv("ML_ASSETS_DATA", raising=False)
    monkeypatch.setenv("SHOP_DB", f"sqlite:///{tmp_path / 'shop.db'}")
    settings = load_settings()
    schema = pa.schema(
        [(n, pa.string()) for n in ("product_id", "name", "category", "price", "available", "changed_at")]
    )
    for number in range(3):
        rows = [["P1"], ["Mug"], ["kitchen"], ["10"], ["true"], [f"{day(number)}T00:00:00"]]
        path = settings.landing / "products" / f"{day(number)}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table([pa.array(column) for column in rows], schema=schema), path)
    return settings


@pytest.fixture
def sell(tmp_path: Path) -> Callable[[int, int], None]:
    def write(number: int, on: int) -> None:
        with sqlite3.connect(tmp_path / "shop.db") as database:
            columns = ", ".join(f"{name} text" for name in EVENTS)
            database.execute(f"create table if not exists events (id integer primary key, {columns})")
            row = (f"e{number}", f"{day(on)} 10:00:00", "C1", "P1", "view", "S1", "1", "10", "GB")
            database.execute(f"insert into events values ({number}, {', '.join('?' * len(row))})", row)

    return write


@pytest.fixture
def instance() -> Any:
    with dg.instance_for_test() as made:
        yield made


def materialize(instance: dg.DagsterInstance, **how: Any) -> dg.ExecuteInProcessResult:
    built = EventSource().build_defs(None)  # type: ignore[arg-type]  # the context is not used
    return dg.materialize(list(built.assets or []), instance=instance, **how)


def ingested(settings: Settings, number: int) -> list[str]:
    return pq.ParquetFile(part(settings.lake, "events", day(number))).read()["event_id"].to_pylist()


def test_one_run_lands_and_ingests_a_range(deployment: Settings, sell: Any, instance: Any) -> None:
    for number in range(3):
        sell(number, number)
    assert materialize(instance, tags=range_tags(str(day(0)), str(day(2)))).success
    assert [ingested(deployment, number) for number in range(3)] == [["e0"], ["e1"], ["e2"]]


def test_one_run_lands_and_ingests_a_day(deployment: Settings, sell: Any, instance: Any) -> None:
    sell(1, 0)
    result = materialize(instance, partition_key=str(day(0)))
    [event] = result.asset_materializations_for_node("shop__events_landing")
    assert event.metadata["rows"].value == 1
    assert ingested(deployment, 0) == ["e1"]


def test_the_lineage_goes_from_the_source_to_the_table(deployment: Settings) -> None:
    repository = defs().get_repository_def()
    graph = repository.asset_graph
    landing, table = dg.AssetKey(["shop", "events_landing"]), dg.AssetKey(["shop", "events"])
    assert landing in graph.get(table).parent_keys
    assert graph.get(landing).kinds == {"sql", "parquet"}
    assert "${SHOP_DB}" in graph.get(landing).description
    jobs = {name: repository.get_job(name) for name in ("land", "ingest", "daily")}
    assert all(landing in job.asset_layer.executable_asset_keys for job in jobs.values())


def look(instance: Any, cursor: str | None = None) -> Any:
    [sensor] = [each for each in arriving().sensors or [] if each.name == "arrivals_sensor"]
    return sensor.evaluate_tick(dg.build_sensor_context(instance=instance, cursor=cursor))


def test_news_at_the_source_is_landed_once(deployment: Settings, sell: Any, instance: Any) -> None:
    sell(1, 0)
    [asked] = look(instance).run_requests
    assert asked.job_name == "land"
    assert look(instance).run_requests[0].run_key == asked.run_key
    land(instance)
    assert all(each.job_name != "land" for each in look(instance).run_requests)


def land(instance: Any) -> None:
    defs = dg.Definitions(EventSource().build_defs(None).assets, jobs=arriving().jobs)  # type: ignore[arg-type]
    assert defs.resolve_job_def("land").execute_in_process(instance=instance).success


def test_what_landed_leads_to_its_days_and_late_rows_to_theirs(deployment: Settings, sell: Any, instance: Any) -> None:
    for number in range(3):
        sell(number, number)
    land(instance)
    tick = look(instance)
    [asked] = tick.run_requests
    assert asked.job_name == "ingest"  # nothing is served yet
    assert asked.tags["dagster/asset_partition_range_start"] == str(day(0))
    assert asked.tags["dagster/asset_partition_range_end"] == str(day(2))
    assert look(instance).run_requests[0].run_key == asked.run_key  # which Dagster launches once
    materialize(instance, tags=range_tags(str(day(0)), str(day(2))))
    sell(10, 1)
    land(instance)
    [asked] = look(instance).run_requests
    assert asked.tags["dagster/asset_partition_range_start"] == str(day(1))
    materialize(instance, tags=range_tags(str(day(1)), str(day(2))))
    assert ingested(deployment, 1) == ["e1", "e10"]
    assert look(instance).run_requests == []


def test_a_run_under_way_is_waited_for(deployment: Settings, sell: Any, instance: Any) -> None:
    sell(1, 0)
    land(instance)
    instance.create_run_for_job(dg.GraphDefinition("daily").to_job(), status=dg.DagsterRunStatus.STARTED)
    tick = look(instance)
    assert tick.run_requests == []
    assert "under way" in tick.skip_message


def test_a_day_that_another_table_lacks_is_waited_for(deployment: Settings, sell: Any, instance: Any) -> None:
    sell(1, 0)
    (deployment.landing / "products" / f"{day(2)}.parquet").unlink()
    land(instance)
    [asked] = look(instance).run_requests
    assert asked.tags["dagster/asset_partition_range_end"] == str(day(1))
    assert "waiting for" in asked.tags["ml_assets/reason"]


def test_a_source_that_is_away_is_a_reason_not_a_failure(
    deployment: Settings, instance: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SHOP_DB")
    tick = look(instance)
    assert "SHOP_DB, named there, is not set" in tick.skip_message


def test_a_simulated_shop_has_no_arrivals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instance: Any) -> None:
    monkeypatch.setenv("ML_ASSETS_HOME", str(tmp_path))
    monkeypatch.setenv("ML_ASSETS_SHOP", "simulated")
    assert "simulated world" in look(instance).skip_message
    assert not arriving().jobs


def test_days_whose_run_failed_are_asked_for_again_on_the_next_day(
    deployment: Settings, sell: Any, instance: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        sell(number, number)
    land(instance)
    materialize(instance, tags=range_tags(str(day(0)), str(day(2))))
    assert look(instance).run_requests == []
    job = dg.GraphDefinition("ingest").to_job()
    tags = range_tags(str(day(1)), str(day(1)))
    instance.create_run_for_job(job, status=dg.DagsterRunStatus.FAILURE, tags=tags)
    tick = look(instance)
    assert tick.run_requests == []
    assert f"the run of {day(1)} and later days failed: see its log" in tick.skip_message
    monkeypatch.setattr(ml_assets.defs.arrivals, "datetime", Tomorrow)
    [asked] = [each for each in look(instance).run_requests if each.job_name == "ingest"]
    assert asked.tags["dagster/asset_partition_range_start"] == str(day(1))
    assert asked.tags["dagster/asset_partition_range_end"] == str(day(2))
    instance.create_run_for_job(job, status=dg.DagsterRunStatus.SUCCESS, tags=tags)
    assert [each for each in look(instance).run_requests if each.job_name == "ingest"] == []


class Tomorrow(datetime):
    """A clock that is a day fast."""

    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        return datetime.now(tz) + timedelta(days=1)


def test_a_broken_day_turns_the_run_red_and_the_others_are_published(
    deployment: Settings, sell: Any, instance: Any
) -> None:
    for number in range(3):
        sell(number, number)
    broken = deployment.landing / "products" / f"{day(1)}.parquet"
    broken.write_bytes(b"")
    built = EventSource().build_defs(None)  # type: ignore[arg-type]  # the context is not used
    tags = range_tags(str(day(0)), str(day(2)))
    everything = [*(built.assets or []), *(built.asset_checks or [])]
    done = dg.materialize(everything, instance=instance, tags=tags, raise_on_error=False)
    failed = {event.step_key: str(event.step_failure_data.error) for event in done.get_step_failure_events()}
    assert set(failed) == {"shop__products_every_day_published", "shop__events_every_day_published"}
    assert (
        f"{broken}: the file is empty (0 bytes); deliver the file again" in failed["shop__products_every_day_published"]
    )
    assert "ingest products of" in failed["shop__events_every_day_published"]
    for table in ("products", "events"):
        assert [part(deployment.lake, table, day(number)).exists() for number in range(3)] == [True, False, True]
        made = instance.get_materialized_partitions(dg.AssetKey(["shop", table]))
        assert made == {str(day(0)), str(day(2))}
    blocking = [each.check_name for each in done.get_asset_check_evaluations() if each.blocking and not each.passed]
    assert blocking == []


def test_a_table_or_its_quarantine_is_materialized_alone(deployment: Settings, sell: Any, instance: Any) -> None:
    sell(1, 0)
    land(instance)
    built = EventSource().build_defs(None)  # type: ignore[arg-type]  # the context is not used
    everything = [*(built.assets or []), *(built.asset_checks or [])]

    def only(name: str) -> tuple[bool, list[str], set[str]]:
        """Whether it went well, what it materialized, and which assets were checked."""
        done = dg.materialize(
            everything, instance=instance, partition_key=str(day(0)), selection=[dg.AssetKey(["shop", name])],
            raise_on_error=False,
        )  # fmt: skip
        made = [event.asset_key.path[-1] for event in done.get_asset_materialization_events() if event.asset_key]
        return done.success, made, {each.asset_key.path[-1] for each in done.get_asset_check_evaluations()}

    table = part(deployment.lake, "products", day(0))
    assert only("products_quarantine") == (False, [], set())
    assert not table.exists(), "nothing is published that was not asked for"
    assert only("products") == (True, ["products"], {"products"})
    assert only("events") == (True, ["events"], {"events"})
    before = table.stat()
    assert only("products_quarantine") == (True, ["products_quarantine"], set())
    assert (table.stat().st_ino, table.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_each_source_has_a_sensor_and_the_shop_lands_only_its_own(deployment: Settings) -> None:
    sensors = {each.name: each for each in arriving().sensors or []}
    assert set(sensors) == {"arrivals_sensor", *(f"{source}_arrivals_sensor" for source in sources_beside())}
    assert {each.default_status for each in sensors.values()} == {dg.DefaultSensorStatus.RUNNING}
    assert [job.name for job in arriving().jobs or []] == ["land"]
