"""From a file to a live model: scaffold in a copy of the project, the real graph, a server that answers."""

from __future__ import annotations

import datetime as dt
import json
import math
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pyarrow.parquet as pq
import pytest
from project_copy import copy_project, free_port, python, run_jobs
from tables import write_parquet

from ml_assets.config.settings import PROJECT
from ml_assets.scaffold.write import next_port_offset

DAYS, HORIZON, OFFSET = 70, 3, next_port_offset(PROJECT, "delay")
FIRST = dt.date(2025, 3, 1)
COURIERS = {"ann": 5, "bob": 12, "cy": 25}
CALL = (
    "scaffold", "deliveries.parquet", "--name", "delay", "--entity", "courier,shop id", "--time", "ordered", "--label",
    "Minutes", "--task", "regression", "--horizon-days", str(HORIZON), "--known-after", "tip",
)  # fmt: skip


def deliveries() -> list[dict[str, Any]]:
    """Orders of three couriers and four shops; rain makes long ways slow; a few have no courier or no outcome.

    Weights are written in an odd unit: sums must neither overflow nor round them away.
    """
    draw, rows = random.Random(8), []
    for number in range(DAYS):
        for _ in range(20):
            courier, far, rain = draw.choice(list(COURIERS)), round(draw.uniform(0, 9), 2), draw.random() < 0.5
            minutes = 10 + COURIERS[courier] + far * (6 if rain else 1) + draw.gauss(0, 1)
            at = dt.datetime.combine(FIRST + dt.timedelta(days=number), dt.time(draw.randint(9, 21), 30))
            row = {
                "courier": courier,
                "shop id": float(draw.randint(1, 4)),
                "ordered": at,
                "Way (km)": far,
                "Rain": rain,
            }
            row |= {"kg": draw.choice([None, 1.5e-10, 2.25e-10]), "tip": draw.random(), "Minutes": minutes}
            rows.append(row)
    for row in rows[5::50]:
        row["courier"] = None
    rows[9] |= {"Minutes": None}
    rows[700] |= {"kg": 1e33}
    return rows


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = copy_project(tmp_path_factory.mktemp("scaffolded") / "project")
    write_parquet(made / "deliveries.parquet", deliveries())
    yield made
    python(made, "-m", "ml_assets", "stop")


@pytest.fixture(scope="module")
def port() -> int:
    return free_port(OFFSET)


@pytest.fixture(scope="module")
def said(project: Path, port: int) -> str:
    done = python(project, "-m", "ml_assets", *CALL, port=port)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def runs(project: Path, port: int, said: str) -> dict[str, dict[str, Any]]:
    return run_jobs(project, "deliveries", FIRST, FIRST + dt.timedelta(days=DAYS - 1), port)


def test_the_definitions_load(project: Path, said: str) -> None:
    checked = python(project, str(Path(sys.executable).with_name("dg")), "check", "defs")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "All definitions loaded successfully" in checked.stdout


def test_the_second_call_changes_nothing(project: Path, said: str, port: int) -> None:
    again = python(project, "-m", "ml_assets", *CALL, port=port)
    assert again.stdout.startswith("nothing changed")


def test_without_a_terminal_what_is_missing_is_said(project: Path) -> None:
    done = python(project, "-m", "ml_assets", *CALL[:2])
    assert done.returncode == 1
    assert "say --entity, --time, --label, --task, --name" in done.stderr
    assert "Way (km)  number" in done.stderr


def test_the_file_becomes_a_champion(runs: dict[str, dict[str, Any]]) -> None:
    assert [run["failed"] for run in runs.values()] == [{}, {}]
    checks = runs["deliveries_ingest"]["checks"] | runs["deliveries_train"]["checks"]
    assert [name for name, passed in checks.items() if not passed] == []
    assert {"delay/training_set:no_leak", "deliveries/online_store:offline_equals_online"} <= set(checks)
    assert "beats" in runs["deliveries_train"]["made"]["delay/champion"]["reason"]


def test_the_example_is_answered(runs: dict[str, dict[str, Any]], said: str, port: int) -> None:
    command = said.rstrip().splitlines()[-1]
    assert f"localhost:{port + OFFSET}/delay" in command
    body = json.loads(command.partition("-d '")[2].removesuffix("'"))
    assert set(body) == {"event", "courier", "shop_id", "way_km", "rain", "kg"}
    with httpx.Client(trust_env=False, timeout=10) as client:
        answers = [
            client.post(f"http://127.0.0.1:{port + OFFSET}/delay", json=body | {"way_km": 9, "rain": rain}).json()
            for rain in (0, 1)
        ]
    assert answers[0]["known"] is True
    assert answers[1]["value"] > answers[0]["value"] + 20


def test_features_know_what_was_known(runs: dict[str, dict[str, Any]], project: Path) -> None:
    """Counts up to the midnight before; outcomes only of events whose label was known by then."""
    (warehouse,) = project.glob("var/*/warehouse.duckdb")
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        rows = connection.execute(
            "select courier, event_timestamp, events_28d, mean_minutes_28d, mean_kg_28d from feat_delay_courier"
        ).fetchall()
        spine = connection.execute("select count(*), count(minutes) from mart_delay_spine").fetchall()
    assert spine == [(DAYS * 20, DAYS * 20 - 1)]  # the one without an outcome is there to be predicted
    assert {courier for courier, *_ in rows} == {*COURIERS, "unknown"}
    history = [(row["courier"] or "unknown", row["ordered"].date(), row["Minutes"], row["kg"]) for row in deliveries()]
    for courier, known_from, events, mean, kg in rows:
        newest = known_from.date() - dt.timedelta(days=1)
        ages = [((newest - day).days, minutes, weight) for who, day, minutes, weight in history if who == courier]
        assert events == sum(0 <= age < 28 for age, *_ in ages)
        outcomes = [m for age, m, _ in ages if m is not None and 0 <= age - (HORIZON - 1) < 28]
        assert (mean is None) == (not outcomes)
        assert mean is None or mean == pytest.approx(math.fsum(outcomes) / len(outcomes), rel=1e-15)
        weights = [weight for age, _, weight in ages if weight is not None and 0 <= age < 28]
        assert (kg is None) == (not weights)
        assert kg is None or kg == pytest.approx(math.fsum(weights) / len(weights), rel=1e-15)


def test_days_built_in_pieces_are_those_built_at_once(
    runs: dict[str, dict[str, Any]], project: Path, tmp_path: Path
) -> None:
    (at_once,) = project.glob("var/*/warehouse.duckdb")
    pieces, ends = tmp_path / "pieces.duckdb", (20, DAYS)
    for first, after in zip((0, *ends), ends, strict=False):
        days = {"start_date": FIRST + dt.timedelta(days=first), "end_date": FIRST + dt.timedelta(days=after - 1)}
        done = python(
            project, "-m", "dbt.cli.main", "run", "--select", "ml_assets.deliveries", "--vars",
            json.dumps({name: str(day) for name, day in days.items()}), "--project-dir", "dbt_project",
            "--profiles-dir", "dbt_project", "--target-path", str(tmp_path / "target"), "--log-path", str(tmp_path),
            ML_ASSETS_LAKE=str(at_once.parent / "lake"), ML_ASSETS_WAREHOUSE=str(pieces), ML_ASSETS_MEMORY="1GB",
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
    with duckdb.connect() as connection:
        connection.execute(f"attach '{at_once}' as at_once (read_only); attach '{pieces}' as pieces (read_only)")
        for table in ("feat_delay_courier", "feat_delay_shop", "mart_delay_spine"):
            for one, other in (("at_once", "pieces"), ("pieces", "at_once")):
                assert connection.execute(f"from {one}.{table} except from {other}.{table}").fetchall() == []


def test_the_file_itself_can_be_scored_and_keys_mean_what_they_mean_to_the_service(
    project: Path, runs: dict[str, dict[str, Any]], port: int
) -> None:
    rows = [row | {"shop id": 9.0 if at % 100 == 0 else row["shop id"]} for at, row in enumerate(deliveries())]
    write_parquet(project / "strange.parquet", rows)
    done = python(project, "-m", "ml_assets", "score", "--model", "delay", "strange.parquet", "scored.parquet")
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    strange = 14 + 20 - 1  # nothing is known on the first day
    assert f"{strange} events with a shop_id of which nothing is known" in done.stdout.splitlines()[-1]
    unknown = pq.read_table(project / "scored.parquet", columns=["unknown"])["unknown"].to_pylist()
    assert [at for at, key in enumerate(unknown) if key == "shop_id"] == list(range(100, 1400, 100))
    with httpx.Client(base_url=f"http://127.0.0.1:{port + OFFSET}", trust_env=False, timeout=10) as client:

        def told(**said: Any) -> dict[str, Any]:
            body = {"courier": "ann", "shop_id": "1", "way_km": 5.0, "rain": 1, "kg": None}
            return client.post("/delay", json=body | said).json()

        assert told(courier=None)["value"] == told(courier="unknown")["value"] != told(courier="zoe")["value"]
        assert told(shop_id=1)["value"] == told(shop_id="1.0")["value"] == told()["value"]
        assert told(shop_id="one")["fields"] == [
            {"field": "shop_id", "problem": "Input is no key: a whole number is asked, with all of its digits"}
        ]
