from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path

import lightgbm
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml_assets import operate
from ml_assets.config.model_spec import model_specs
from ml_assets.config.settings import Settings
from ml_assets.evaluation.evaluate import RESULT, evaluation_folder
from ml_assets.evaluation.result import read_result
from ml_assets.registry.history import history_path, write_pointer
from ml_assets.registry.pointer import make_pointer, pointer_path, require_pointer
from ml_assets.registry.versions import VersionRef, load_version, publish_version

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


def test_every_command_names_the_altered_line_of_a_journal_and_goes_on(
    settings: Settings, version: VersionRef, capsys: pytest.CaptureFixture[str]
):
    name = model_specs()[0].name
    settings.online_store.parent.mkdir(parents=True)
    settings.online_store.write_bytes(b"sqlite")
    path = pointer_path(settings, name)
    other = publish_version(
        settings, name, "other", "r", features=FEATURES, params={}, training_set="", metrics={}, created_from={}
    )
    for ref in (version, other):
        pointer = make_pointer(
            model_name=name, model_version=ref.version, version_folder=ref.path, index_folder=None,
            online_store=settings.online_store, as_of=NOW, deployed_at=datetime.now(UTC),
        )  # fmt: skip
        write_pointer(path, pointer)
    history = history_path(path)
    history.write_bytes(history.read_bytes().replace(b'"deployed"', b'"deploxed"', 1))
    assert run(settings, "served-at", datetime.now(UTC).isoformat()) == 0
    said = capsys.readouterr()
    assert all(f"{history}, line 1: it was altered" in each for each in (said.out, said.err))
    assert run(settings, "rollback", "--to", "nobody") == 1
    assert all(f"{ref.version} (20" in capsys.readouterr().out for ref in (version,))
    assert run(settings, "rollback") == 0
    said = capsys.readouterr()
    assert f"the pointer names version {version.version}; no server runs" in said.out
    assert f"{history}, line 1: it was altered" in said.err
    assert require_pointer(path).model_version == version.version


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


def test_a_version_from_before_seals_is_sealed_with_its_evaluation(settings: Settings, version: VersionRef, capsys):
    (version.path / "model.json.sha256").unlink()
    result = evaluation_folder(settings, version.name, version.version) / RESULT
    part = {"decisions": ["2026-01-04"], "customers": 1, "groups": 1, "relevant": 1, "ceiling": 1.0}
    said = {"model": version.name, "version": version.version, "run_id": "r", "training_set": "t", "champion": None}
    said |= {"reference": "popularity", "metric": "ndcg_10", "confidence": 0.95}
    said |= {"parts": {"test": part | {"values": {}, "gains": {}, "by_decision": {}, "slices": []}}}
    result.parent.mkdir(parents=True)
    result.write_text(json.dumps(said))
    assert run(settings, "seal", "0123456789ab") == 1
    assert "no such model version" in capsys.readouterr().out
    assert run(settings, "seal", version.version) == 0
    assert load_version(version.path) == version
    assert read_result(result).metric == "ndcg_10"
    (version.path / "model.json").write_text("{}")
    assert run(settings, "seal", version.version) == 1


def test_where_several_models_are_deployed_a_command_asks_which(settings, capsys, monkeypatch):
    """Going back on the first one by name would take back a model that nobody meant."""
    names = ["another", "one"]
    specs = tuple(model_specs()[0].model_copy(update={"name": name}) for name in names)
    monkeypatch.setattr(operate, "model_specs", lambda: specs)
    for name in names:
        path = pointer_path(settings, name)
        path.parent.mkdir(parents=True)
        path.write_text("{}")
    given = argparse.ArgumentParser()
    operate.add_commands(given.add_subparsers(dest="command"))
    assert operate.run(settings, given.parse_args(["rollback"])) == 1
    assert f"say --model: {', '.join(names)}" in capsys.readouterr().out


def test_an_empty_version_is_not_the_version_before(settings, capsys):
    given = argparse.ArgumentParser()
    operate.add_commands(given.add_subparsers(dest="command"))
    asked = ["rollback", "--to", "", "--model", model_specs()[0].name]
    assert operate.run(settings, given.parse_args(asked)) == 1
    assert "--to needs a version" in capsys.readouterr().out


def test_nobody_knows_who_will_serve(settings: Settings, capsys: pytest.CaptureFixture[str]):
    name = model_specs()[0].name
    assert run(settings, "served-at", "2999-01-01", "--model", name) == 1
    assert "2999-01-01 00:00:00+00:00 lies in the future" in capsys.readouterr().out
    assert run(settings, "served-at", "2020-01-01", "--model", name) == 0
