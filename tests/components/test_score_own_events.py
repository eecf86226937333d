"""Files of events by a bring-your-own model: as the live service answers, as training saw them, killed or not."""

from __future__ import annotations

import csv
import json
import signal
from pathlib import Path
from typing import Any

import httpx
import lightgbm
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from project_copy import python

ITEMS = ("roll", "cake", "ice", "bagel", None)
SCORED_IN_SMALL_PARTS = """
import os, signal, sys
from pathlib import Path
from feature_repo.store import open_store
from ml_assets.scoring import pieces as scoring
from ml_assets.scoring.scored_events import Scorer, score_events
from ml_assets.config.model_spec import model_spec
from ml_assets.registry.pointer import pointer_path, require_pointer
from ml_assets.registry.versions import load_version
from ml_assets.config.settings import load_settings

scoring.PART = 1
write, (file, out, die_at) = scoring.pq.write_table, sys.argv[1:]

def killed(table, where):
    write(table, where)
    if len(list(where.parent.glob("*-*.parquet"))) == int(die_at):
        os.kill(os.getpid(), signal.SIGKILL)

scoring.pq.write_table = killed
settings, spec = load_settings(), model_spec("demand")
ref = load_version(require_pointer(pointer_path(settings, spec.name)).model_path)
print(score_events(Scorer(spec, settings, open_store(settings), ref), Path(file), Path(out), rows=7))
"""


@pytest.fixture(scope="module")
def events(runs: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Events with known, unknown and missing keys and numbers, and rows that are none."""
    assert [run["failed"] for run in runs.values()] == [{}, {}]
    file, rng = tmp_path_factory.mktemp("events") / "events.csv", np.random.default_rng(3)
    with file.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["warmth", "sale_id", "price", "item", "till"])
        for number in range(60):
            price = None if number % 7 == 0 else round(float(rng.uniform(1, 4)), 2)
            writer.writerow([float(rng.uniform(0, 30)), f"s{number}", price, ITEMS[number % 5], "left"])
        writer.writerow(["warm", "s-bad", 2.0, "roll", "left"])
        writer.writerow([8.0, "", 2.0, "roll", "left"])
        writer.writerow([8.0, "s-free", 0, "roll", "left"])
        writer.writerow([8.0, "s-dear", 1e39, "roll", "left"])
    return file


def score(project: Path, file: Path, out: Path, *more: str) -> Any:
    return python(project, "-m", "ml_assets", "score", "--model", "demand", str(file), str(out), *more)


def test_events_are_answered_as_the_service_answers_them(
    project: Path, port: int, events: Path, tmp_path: Path
) -> None:
    done = score(project, events, tmp_path / "scored.parquet")
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    scored = pq.read_table(tmp_path / "scored.parquet")
    assert scored.schema.names == ["sale_id", "opens_at", "known", "unknown", "value"]
    asked = list(csv.DictReader(events.open()))[:60]
    columns = ("sale_id", "known", "unknown", "value")
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False) as client:
        for event, row in zip(asked, scored.to_pylist(), strict=True):
            numbers = {name: float(event[name]) if event[name] else None for name in ("price", "warmth")}
            body = {"item": event["item"] or None, "event": event["sale_id"], **numbers}
            said = client.post("/demand", json=body).json()
            assert set(said) == {"prediction_id", "model_version", "event", "known", "unknown", "value", "degraded"}
            unknown = ", ".join(said["unknown"]) or None
            assert (said["event"], said["known"], unknown, said["value"]) == tuple(row[name] for name in columns)
    assert {(row["known"], row["unknown"]) for row in scored.to_pylist()} == {(True, None), (False, "item")}


def test_rows_that_are_no_events_are_beside(project: Path, events: Path, tmp_path: Path) -> None:
    done = score(project, events, tmp_path / "scored.parquet")
    rejected = pq.read_table(tmp_path / "scored.rejected.parquet").to_pylist()
    assert [(row["row"], row["line"], row["reason"].partition(":")[0]) for row in rejected] == [
        (61, 62, "warmth"), (62, 63, "sale_id"), (63, 64, "price"), (64, 65, "price"),
    ]  # fmt: skip
    assert json.loads(rejected[0]["raw"])["warmth"] == "warm"
    assert rejected[2]["reason"] == "price: a number of more than 0 is asked"
    assert "4 rows" in done.stdout
    assert f"{events}: read as utf-8, with commas between columns" in done.stdout


def test_the_service_refuses_what_the_contract_sets_aside(project: Path, port: int, events: Path) -> None:
    body = {"item": "roll", "event": "s-free", "price": 0, "warmth": 8.0}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False) as client:
        said = client.post("/demand", json=body)
    assert said.status_code == 422
    assert said.json()["fields"] == [{"field": "price", "problem": "Input should be a number of more than 0"}]


def test_at_its_time_an_event_has_the_features_it_was_learned_with(
    project: Path, runs: dict[str, Any], tmp_path: Path
) -> None:
    trained = runs["bakery_train"]["made"]
    rows = pq.read_table(Path(trained["demand/training_set"]["path"]) / "rows.parquet")
    names = {"request__price": "price", "request__warmth": "warmth"}
    events = rows.select(["sale_id", "opens_at", "item", *names]).rename_columns(
        ["sale_id", "opens_at", "item", *names.values()]
    )
    pq.write_table(events, tmp_path / "events.parquet", row_group_size=50)
    done = score(project, tmp_path / "events.parquet", tmp_path / "scored.parquet")
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    version = project / "var" / "simulated" / "models" / "demand" / "versions" / trained["demand/champion"]["version"]
    booster = lightgbm.Booster(model_file=str(version / "booster.txt"))
    features = json.loads((version / "model.json").read_text())["features"]
    x = np.stack([rows[name].to_numpy(zero_copy_only=False).astype(np.float32) for name in features], axis=1)
    scored = pq.read_table(tmp_path / "scored.parquet")
    assert scored["sale_id"].to_pylist() == rows["sale_id"].to_pylist()
    assert scored["opens_at"].cast(pa.int64()).to_pylist() == rows["opens_at"].cast(pa.int64()).to_pylist()
    assert scored["value"].to_pylist() == booster.predict(x, num_threads=1).tolist()


def test_killed_it_goes_on_and_ends_with_the_same_bytes(project: Path, events: Path, tmp_path: Path) -> None:
    out, straight = tmp_path / "out.parquet", tmp_path / "straight.parquet"
    killed = python(project, "-c", SCORED_IN_SMALL_PARTS, str(events), str(out), "3")
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-3000:]
    assert not out.exists()
    finished = {path: path.stat().st_mtime_ns for path in tmp_path.glob(".out.parquet-*/parts/0*")}
    assert len(finished) == 3
    for target in (out, straight):
        done = python(project, "-c", SCORED_IN_SMALL_PARTS, str(events), str(target), "-1")
        assert done.returncode == 0, done.stderr[-3000:]
    assert out.read_bytes() == straight.read_bytes()
    assert (tmp_path / "out.rejected.parquet").read_bytes() == (tmp_path / "straight.rejected.parquet").read_bytes()
    assert [path.name for path in tmp_path.iterdir() if "parquet-" in path.name] == []
    made = out.stat().st_mtime_ns
    assert "rows=60" in python(project, "-c", SCORED_IN_SMALL_PARTS, str(events), str(out), "-1").stdout
    assert out.stat().st_mtime_ns == made


def test_what_cannot_be_scored_is_named(project: Path, events: Path, tmp_path: Path) -> None:
    pq.write_table(pa.table({"sale_id": ["a"], "price": ["2"], "item": ["roll"]}), tmp_path / "events.parquet")
    lacking = score(project, tmp_path / "events.parquet", tmp_path / "out.parquet")
    assert (lacking.returncode, "warmth" in lacking.stdout) == (1, True)
    wrong = score(project, events, tmp_path / "out.parquet", "--k", "3")
    assert (wrong.returncode, "rankings" in wrong.stdout) == (1, True)
