from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_assets.config.settings import PROJECT, Settings
from ml_assets.metrics.ranking import top_k
from ml_assets.registry.versions import VersionRef, publish_version
from ml_assets.scoring import pieces as scoring
from ml_assets.scoring import scored_file
from ml_assets.scoring.scored_file import UnfitFrameError, score_file

FEATURES = ("own", "common", "noise")
KEYS = ("customer_id", "decision_ts", "product_id")

KILLED_IN_ITS_FOURTH_PART = """
import os, signal, sys
from pathlib import Path
from ml_assets.scoring import scored_file
from ml_assets.scoring import pieces as scoring
from ml_assets.registry.versions import load_version

scoring.PART = 2
write = scoring.pq.write_table

def die(table, where):
    write(table, where)
    if "-" in where.name and len(list(where.parent.glob("*-*.parquet"))) == 3:
        os.kill(os.getpid(), signal.SIGKILL)

scoring.pq.write_table = die
version, frame, out = map(Path, sys.argv[1:])
scored_file.score_file(load_version(version), frame, out, ("customer_id", "decision_ts", "product_id"), 3, rows=50)
"""


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> VersionRef:
    import lightgbm

    rng = np.random.default_rng(2)
    x = rng.normal(size=(4000, 3)).astype(np.float32)
    data = lightgbm.Dataset(x, label=x[:, 0] * 2 + x[:, 1], params={"verbosity": -1})
    booster = lightgbm.train({"verbosity": -1, "num_threads": 1}, data, 12)
    settings = Settings(home=tmp_path_factory.mktemp("versions"), shop="simulated")
    said = {"params": {}, "training_set": "", "metrics": {}, "created_from": {}}
    return publish_version(settings, "m", booster.model_to_string(), "r", features=FEATURES, **said)


def frame(path: Path, sizes: list[int], row_group: int = 64) -> Path:
    """Rows of groups of these sizes, with nulls, NaN, ties and an unused column; row groups cut through groups."""
    rng, n = np.random.default_rng(3), sum(sizes)
    customer = np.repeat(np.arange(len(sizes)), sizes)
    values = rng.normal(size=(n, 3)).astype(np.float32).round(1)
    table = pa.table(
        {
            "customer_id": [f"c{at:05}" for at in customer],
            "decision_ts": pa.array(np.full(n, np.datetime64("2026-01-05", "us"))),
            "product_id": [f"p{at:05}" for at in range(n)],
            "noise": pa.array(values[:, 2], mask=rng.random(n) < 0.2),
            "unused": rng.random(n),
            "common": pa.array(np.where(rng.random(n) < 0.1, np.nan, values[:, 1]).astype(np.float32)),
            "own": pa.array(values[:, 0].astype(np.float64)),
        }
    )
    pq.write_table(table, path, row_group_size=row_group)
    return path


def naively(version: VersionRef, path: Path, k: int) -> pa.Table:
    rows = pq.read_table(path)
    x = np.stack([rows[name].to_numpy().astype(np.float32) for name in FEATURES], axis=1)
    score = version.booster().predict(x)
    row, rank = top_k(score, np.unique(rows["customer_id"].to_numpy(), return_inverse=True)[1], k)
    kept = rows.select(KEYS).take(pa.array(row)).append_column("rank", pa.array(rank.astype(np.int32)))
    return kept.append_column("score", pa.array(score[row]))


SIZES = [7, 1, 30, 3, 120, 2, 2, 9] * 6


@pytest.mark.parametrize(("rows", "threads", "row_group"), [(1, 1, 1000), (40, 2, 64), (64, 3, 64), (5000, 2, 17)])
def test_it_is_what_scoring_all_at_once_gives(
    version: VersionRef, tmp_path: Path, rows: int, threads: int, row_group: int
):
    path = frame(tmp_path / "frame.parquet", SIZES, row_group)
    written = score_file(version, path, tmp_path / "out" / "scored.parquet", KEYS, 3, threads=threads, rows=rows)
    found = pq.read_table(tmp_path / "out" / "scored.parquet")
    assert written == len(found)
    assert found.equals(naively(version, path, 3).cast(found.schema))


def test_what_was_scored_is_not_scored_again_and_other_inputs_are(version: VersionRef, tmp_path: Path):
    path, out = frame(tmp_path / "frame.parquet", SIZES), tmp_path / "scored.parquet"
    rows = score_file(version, path, out, KEYS, 3, rows=40)
    made = out.stat().st_mtime_ns
    assert score_file(version, path, out, KEYS, 3, rows=40) == rows
    assert out.stat().st_mtime_ns == made
    assert score_file(version, path, out, KEYS, 2, rows=40) < rows
    frame(path, [*SIZES, 4])
    assert score_file(version, path, out, KEYS, 2, rows=40) == len(naively(version, path, 2))


def test_killed_it_goes_on_and_ends_with_the_same_bytes(
    version: VersionRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path, out = frame(tmp_path / "frame.parquet", SIZES), tmp_path / "scored.parquet"
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_IN_ITS_FOURTH_PART, str(version.path), str(path), str(out)],
        cwd=PROJECT,
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert not out.exists()
    assert len(list(tmp_path.glob(".scored.parquet-*/0*.parquet"))) == 3

    monkeypatch.setattr(scoring, "PART", 2)
    read: list[int] = []
    batches = scored_file.batches
    monkeypatch.setattr(scored_file, "batches", lambda *said: read.append(said[2]) or batches(*said))
    score_file(version, path, out, KEYS, 3, rows=50)
    straight = tmp_path / "straight.parquet"
    score_file(version, path, straight, KEYS, 3, rows=50)
    assert out.read_bytes() == straight.read_bytes()
    assert read[0] > 0 == read[1]
    assert [each.name for each in tmp_path.iterdir() if "parquet-" in each.name] == []


@pytest.mark.parametrize("value", [1e39, -np.inf])
def test_a_number_that_models_do_not_read_is_refused_with_its_row(version: VersionRef, tmp_path: Path, value: float):
    path = frame(tmp_path / "frame.parquet", [40] * 5)
    rows = pq.read_table(path)
    own = rows["own"].to_pylist()
    own[150] = value
    pq.write_table(rows.set_column(rows.schema.get_field_index("own"), "own", pa.array(own)), path)
    with pytest.raises(
        UnfitFrameError, match=rf"own is {re.escape(str(value))} at customer_id c00003, .* product_id p00150: "
    ):
        score_file(version, path, tmp_path / "out.parquet", KEYS, 3, rows=50)
    assert not (tmp_path / "out.parquet").exists()


def test_a_feature_the_file_lacks_is_named(version: VersionRef, tmp_path: Path):
    pq.write_table(pa.table({"customer_id": ["c"], "product_id": ["p"], "own": [1.0]}), tmp_path / "frame.parquet")
    with pytest.raises(UnfitFrameError, match="common"):
        score_file(version, tmp_path / "frame.parquet", tmp_path / "out.parquet", ("customer_id", "product_id"), 3)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda rows: pa.concat_tables([rows, rows.slice(0, 3)]), r"product_id p00000 is there 2 times in the list"),
        (lambda rows: pa.concat_tables([rows.slice(4), rows.slice(0, 4)]),
         r"the 7 rows of customer_id c00000, decision_ts .* do not lie together .*sort the file by customer_id"),
        (lambda rows: rows.set_column(0, "customer_id", pa.array([None, *rows["customer_id"].to_pylist()[1:]])),
         r"1 rows have no customer_id or .*, the first is row 1"),
        (lambda rows: rows.set_column(2, "product_id", pa.array([*rows["product_id"].to_pylist()[:-1], None])),
         r"1 rows have no .*product_id, the first is row \d+"),
    ],
)  # fmt: skip
def test_a_file_that_holds_no_lists_is_refused_before_anything_is_written(
    version: VersionRef, tmp_path: Path, spoil, said: str
):
    path, out = frame(tmp_path / "frame.parquet", SIZES), tmp_path / "scored.parquet"
    pq.write_table(spoil(pq.read_table(path)), path)
    with pytest.raises(UnfitFrameError, match=said):
        score_file(version, path, out, KEYS, 3)
    assert [each.name for each in tmp_path.iterdir()] == ["frame.parquet"]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=12), st.integers(1, 60), st.data())
def test_pieces_are_whole_groups_and_begin_anywhere_a_piece_ended(tmp_path_factory, sizes, rows, data):
    path = frame(tmp_path_factory.mktemp("frames") / "frame.parquet", sizes, row_group=23)
    pieces = list(scored_file.pieces_of(path, list(KEYS), list(FEATURES), rows, 0))
    stops = [piece.stop for piece in pieces]
    assert set(stops) <= set(np.cumsum(sizes).tolist())
    assert stops[-1] == sum(sizes)
    assert sum(len(piece.load()[0]) for piece in pieces) == sum(sizes)
    lengths = np.diff([0, *stops])
    assert all(length <= max(rows, *sizes) for length in lengths)
    at = data.draw(st.integers(0, len(stops) - 1))
    again = list(scored_file.pieces_of(path, list(KEYS), list(FEATURES), rows, stops[at]))
    assert [piece.stop for piece in again] == stops[at + 1 :]
    assert all(one.load()[0].equals(other.load()[0]) for one, other in zip(again, pieces[at + 1 :], strict=True))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=20), st.integers(1, 12), st.integers(0, 99))
def test_the_best_rows_are_those_of_top_k(sizes, k, seed):
    scores = np.random.default_rng(seed).integers(0, 6, sum(sizes)).astype(float)  # many ties
    group = np.repeat(np.arange(len(sizes)), sizes)
    expected, found = top_k(scores, group, k), scoring.best(scores, group, k)
    assert found[0].tolist() == expected[0].tolist()
    assert found[1].tolist() == expected[1].tolist()
