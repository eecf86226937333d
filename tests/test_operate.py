from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

import lightgbm
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml_assets import operate
from ml_assets.learning.spec import model_specs
from ml_assets.registry.pointer import make_pointer, pointer_path, write_pointer
from ml_assets.registry.versions import VersionRef, publish_version
from ml_assets.settings import Settings

FEATURES = ("own", "common")
NOW = datetime(2026, 1, 5, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", shop="simulated")


@pytest.fixture
def version(settings: Settings) -> VersionRef:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(500, 2))
    said = {"verbosity": -1, "num_threads": 1}
    booster = lightgbm.train(said, lightgbm.Dataset(x, label=x[:, 0], params=said), 5)
    kept = {"params": {}, "training_set": "", "metrics": {}, "created_from": {}}
    return publish_version(settings, model_specs()[0].name, booster.model_to_string(), "r", features=FEATURES, **kept)


@pytest.fixture
def frame(tmp_path: Path) -> Path:
    rng, (spec, *_) = np.random.default_rng(2), model_specs()
    table = {
        spec.entity: np.repeat([f"c{at}" for at in range(20)], 30),
        spec.time: pa.array([NOW.replace(tzinfo=None)] * 600, pa.timestamp("us")),
        spec.item: [f"p{at % 30}" for at in range(600)],
        "own": rng.normal(size=600),
        "common": rng.integers(0, 1 << 40, 600),  # more than a float32 holds exactly
    }
    pq.write_table(pa.table(table), tmp_path / "frame.parquet")
    return tmp_path / "frame.parquet"


def run(settings: Settings, *arguments: object) -> int:
    parser = argparse.ArgumentParser()
    operate.add_commands(parser.add_subparsers(dest="command", required=True))
    return operate.run(settings, parser.parse_args([str(each) for each in arguments]))


def test_score_ranks_a_file_by_the_named_version(settings: Settings, version: VersionRef, frame: Path, tmp_path: Path):
    out = tmp_path / "new" / "scored.parquet"
    assert run(settings, "score", frame, out, "--version", version.version, "--k", 4) == 0
    found, rows = pq.read_table(out), pq.read_table(frame)
    assert found["rank"].to_pylist() == [1, 2, 3, 4] * 20
    x = np.stack([rows[name].to_numpy().astype(np.float32) for name in FEATURES], axis=1)
    scores = np.sort(version.booster().predict(x).reshape(20, 30), axis=1)[:, ::-1][:, :4]
    assert found["score"].to_pylist() == scores.ravel().tolist()


def test_score_takes_the_version_that_serves_and_keys_of_ones_own(
    settings: Settings, version: VersionRef, frame: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (spec, *_), out = model_specs(), tmp_path / "scored.parquet"
    assert run(settings, "score", frame, out) == 1
    assert "nothing has been deployed" in capsys.readouterr().out
    index = tmp_path / "index"
    index.mkdir()
    pointer = make_pointer(
        model_name=spec.name,
        model_version=version.version,
        version_folder=version.path,
        index_folder=index,
        online_store=tmp_path / "online.db",
        as_of=NOW,
        deployed_at=NOW,
    )
    write_pointer(pointer_path(settings, spec.name), pointer)
    assert run(settings, "score", frame, out, "--keys", f"{spec.entity},{spec.item}") == 0
    assert version.version in capsys.readouterr().out
    assert pq.read_schema(out).names == [spec.entity, spec.item, "rank", "score"]
    assert pq.read_metadata(out).num_rows == 20 * spec.serving.k


@pytest.mark.parametrize("wrong", ["lacks", "words", "no parquet", "absent", "itself", "k"])
def test_score_says_what_is_wrong_with_a_file(
    settings: Settings, version: VersionRef, frame: Path, capsys: pytest.CaptureFixture[str], wrong: str
):
    rows, out, k = pq.read_table(frame), frame.with_name("scored.parquet"), "3"
    if wrong == "lacks":
        pq.write_table(rows.drop_columns(["common", model_specs()[0].item]), frame)
        says = ["['common', 'product_id']", version.version]
    elif wrong == "words":
        pq.write_table(rows.set_column(3, "own", pa.array(["much"] * len(rows))), frame)
        says = ["own (string)"]
    elif wrong == "no parquet":
        frame.write_text("customer_id,own\n")
        says = ["frame.parquet", "no Parquet file"]
    elif wrong == "absent":
        frame.unlink()
        says = ["frame.parquet"]
    elif wrong == "itself":
        out, says = frame, ["would replace it"]
    else:
        k, says = "0", ["k is 0"]
    assert run(settings, "score", frame, out, "--version", version.version, "--k", k) == 1
    printed = capsys.readouterr().out
    assert all(each in printed for each in says), printed
    assert out == frame or not out.exists()


def test_score_of_no_rows_is_a_file_of_none(settings: Settings, version: VersionRef, frame: Path, tmp_path: Path):
    pq.write_table(pq.read_table(frame).slice(0, 0), frame)
    assert run(settings, "score", frame, tmp_path / "scored.parquet", "--version", version.version) == 0
    assert pq.read_metadata(tmp_path / "scored.parquet").num_rows == 0
