"""Sources beside the shop live by themselves: what arrives is landed, ingested, modelled and served, once each."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bakery
import httpx
import pytest
from lived_days import TODAY
from mill import add_mill
from project_copy import copy_project, free_port, python
from shipped import require

DAYS = 60
Story = dict[str, dict[str, Any]]


def day(back: int) -> str:
    """A day so many days ago."""
    return str(TODAY - dt.timedelta(days=back))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("living") / "project"
    source = bakery.SOURCE.format(calendar=f"{{start: {day(DAYS)}}}", address=bakery.BY_DAY)
    bakery.open_bakery(copy_project(made), source)
    add_mill(made, dt.date.fromisoformat(day(2)))
    yield made
    python(made, "-m", "serving", "stop")


def lived(project: Path, *arguments: str, **more: str) -> Story:
    """What the days' story tells, by label."""
    script = str(Path(__file__).with_name("lived_days.py"))
    done = python(project, script, *arguments, **more)
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"label"')]
    assert done.returncode == 0, done.stderr[-3000:]
    return {each["label"]: each for each in told}


@pytest.fixture(scope="module")
def port() -> int:
    """Another one than that of the project all tests share."""
    return free_port()


@pytest.fixture(scope="module")
def story(project: Path, port: int) -> Story:
    return lived(project, "bakery", str(DAYS), ML_ASSETS_PORT=str(port - bakery.PORT_OFFSET))


def test_before_a_model_serves_the_days_are_ingested(story: Story) -> None:
    told = story["before a model serves"]
    assert (told["job"], told["first"], told["last"]) == ("bakery_ingest", day(DAYS), day(2))
    assert (told["failed"], told["failing"]) == ([], [])
    assert "bakery/online_store" not in told["made"]


def test_a_day_renews_features_online_store_and_deployment(story: Story) -> None:
    told = story["a day"]
    assert (told["job"], told["first"], told["last"]) == ("bakery_daily", day(1), day(1))
    assert (told["failed"], told["failing"]) == ([], [])
    made = told["made"]
    assert set(made) >= {
        "bakery/sales",
        "feat_item_sales",
        "bakery/online_store",
        "demand/service",
        "demand/deployment",
    }
    assert {"demand/training_set", "demand/candidate"} & set(made) == set()
    assert made["bakery/online_store"]["as_of"] == f"{day(0)}T00:00:00"
    assert made["demand/deployment"]["version"] == story["training"]["made"]["demand/champion"]["version"]


def test_late_rows_lead_to_their_day_and_what_follows(story: Story) -> None:
    told = story["late rows"]
    assert (told["job"], told["first"], told["last"]) == ("bakery_daily", day(4), day(1))
    assert (told["failed"], told["failing"]) == ([], [])
    assert told["made"]["bakery/sales"]["rows_in"] == 3 * (7 + 6 + 6 + 6)


def test_what_has_no_label_yet_is_predicted_until_it_has_one(story: Story) -> None:
    asked = [f"{day(1)}-{shop}-{item}" for shop in range(6) for item in ("roll", "cake", "ice")]
    for label, rows in (("a day", len(asked)), ("late rows", len(asked)), ("labels", 0)):
        assert story[label]["failed"] == []
        assert story[label]["made"]["demand/batch_predictions"]["dagster/row_count"] == rows
    assert sorted(story["predictions"]["batch"]) == sorted(asked)
    assert all(known for _, known, _ in story["predictions"]["batch"].values())
    assert story["predictions"]["batch"] == story["predictions"]["file"]


def test_late_data_is_renewed_when_there_is_something_to_renew_it_with(story: Story) -> None:
    assert "bakery/sales was made too long ago; everything up to" in story["late, nothing there"]["skipped"]
    assert "simulated has no data yet" in story["late, nothing there"]["skipped"]
    told = story["late, something there"]
    assert (told["job"], told["first"], told["last"], told["failed"]) == ("bakery_daily", day(2), day(1), [])


@pytest.mark.parametrize("label", ["nothing twice", "no day twice", "no late rows twice"])
def test_nothing_is_asked_for_twice(story: Story, label: str) -> None:
    assert "job" not in story[label]


def test_nothing_of_another_source_is_touched(story: Story) -> None:
    made = {key for told in story.values() for key in told.get("made", ())}
    assert {key for key in made if key.startswith(("shop/", "product_recommender/", "stg_", "taxi", "mill"))} == set()


def test_the_service_answers_with_the_newest_features(story: Story, port: int) -> None:
    said = httpx.post(f"http://127.0.0.1:{port}/demand", json={"item": "roll", "price": 2.0, "warmth": 9.0}, timeout=10)
    assert (said.json()["known"], said.json()["degraded"]) == (True, [])


def test_a_source_without_its_file_is_silent_and_says_what_is_missing(story: Story) -> None:
    require("taxi_tips")
    assert "TAXI_TRIPS" in story["no file"]["skipped"]
    assert "TAXI_TRIPS" in story["still no file"]["skipped"]


def test_only_sources_that_go_on_have_to_be_fresh(story: Story) -> None:
    fresh = set(story["fresh"]["keys"])
    assert fresh >= {"bakery/sales", "feat_item_sales", "bakery/online_store", "demand/deployment", "demand/champion"}
    assert {key for key in fresh if "taxi" in key} == set()


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    server = pytest.importorskip("moto.server", reason="moto is not installed: no S3 server to test against")
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    address = free_port()
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=address, verbose=False)
    running.start()
    yield f"http://127.0.0.1:{address}"
    running.stop()


@pytest.fixture(scope="module")
def ground(project: Path, s3: str) -> Story:
    pytest.importorskip("confluent_kafka", reason="confluent-kafka is not installed (extra `kafka`)")
    from kafka_broker import Broker
    from s3fs import S3FileSystem

    broker, store = Broker(), S3FileSystem(key="mill", secret="much-secret", endpoint_url=s3)
    store.mkdir("mill")
    for number, back in enumerate((2, 1)):
        at = dt.datetime.fromisoformat(f"{day(back)}T10:00:00+00:00")
        rows = f"delivery,moment,grain,weight\nd{number},{day(back)} 08:00:00,rye,{100 + number}\n"
        store.pipe(f"mill/deliveries/{day(back)}/a.csv", rows.encode())
        for sack in range(3):
            sent = {"sack": f"s{number}{sack}", "moment": f"{day(back)} 10:00:00", "grain": "rye", "weight": 10 + sack}
            broker.put("ground", json.dumps(sent).encode(), partition=0, timestamp=int(at.timestamp() * 1000))
        broker.put("ground", b"no json", partition=0, timestamp=int(at.timestamp() * 1000))
    broker.flush()
    given = {"MILL_KAFKA": broker.bootstrap, "MILL_S3": s3, "MILL_KEY": "mill", "MILL_SECRET": "much-secret"}
    return lived(project, "mill", **given)


def test_a_topic_and_a_bucket_beside_the_shop_are_landed(ground: Story) -> None:
    told = ground["landing"]
    assert (told["job"], told["failed"]) == ("mill_land", [])
    assert {name: said["files"] for name, said in told["made"].items()} == {
        "mill/ground_landing": 2,
        "mill/deliveries_landing": 2,
    }
    assert told["made"]["mill/ground_landing"]["rows"] == 8


def test_what_landed_is_ingested_and_modelled(ground: Story) -> None:
    told = ground["ingestion"]
    assert (told["job"], told["first"], told["last"]) == ("mill_ingest", day(2), day(1))
    assert (told["failed"], told["failing"]) == ([], [])
    made = told["made"]
    assert made["mill/ground"]["dagster/row_count"] == 6
    assert made["mill/ground_quarantine"]["dagster/row_count"] == 2
    assert made["mill/deliveries"]["dagster/row_count"] == 2
    assert made["mart_mill_days"]["dagster/row_count"] == 2


def test_what_was_ingested_is_not_asked_for_again(ground: Story) -> None:
    assert "job" not in ground["nothing twice"]
