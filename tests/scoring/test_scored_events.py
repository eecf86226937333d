"""Events in pieces: the same ones wherever a killed run goes on, and what counts as known."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_assets.scoring.scored_events import ID, count_unknown, loaded_piece, pieces_of

WANTED, JOINED = ("request__size", "view__a"), ("view__a", "view__b")


def frame(path: Path, rows: int, row_group: int) -> Path:
    rng = np.random.default_rng(rows)
    table = pa.table(
        {
            ID: [f"e{at}" for at in range(rows)],
            "event_timestamp": pa.array([datetime(2026, 1, 1)] * rows, pa.timestamp("us")),
            "request__size": pa.array(rng.normal(size=rows) * 1e39),
            "view__a": pa.array(rng.normal(size=rows).astype(np.float32), mask=rng.random(rows) < 0.5),
            "view__b": pa.array(np.full(rows, np.nan, np.float32), mask=rng.random(rows) < 0.5),
        }
    )
    pq.write_table(table, path, row_group_size=row_group)
    return path


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 200), st.integers(1, 60), st.integers(1, 60), st.data())
def test_pieces_begin_anywhere_a_piece_ended(tmp_path_factory, rows, row_group, size, data) -> None:
    path = frame(tmp_path_factory.mktemp("frames") / "frame.parquet", rows, row_group)
    pieces = list(pieces_of(path, WANTED, JOINED, size, 0))
    stops = [piece.stop for piece in pieces]
    assert stops == [*range(size, rows, size), rows]
    at = data.draw(st.integers(0, len(stops) - 1))
    again = list(pieces_of(path, WANTED, JOINED, size, stops[at]))
    assert [piece.stop for piece in again] == stops[at + 1 :]
    assert all(one.load()[0].equals(other.load()[0]) for one, other in zip(again, pieces[at + 1 :], strict=True))


def test_known_is_what_has_any_feature_and_numbers_are_rounded_as_the_service_does(tmp_path: Path) -> None:
    table = pq.read_table(frame(tmp_path / "frame.parquet", 40, 40))
    said, features = loaded_piece(table, WANTED, JOINED, {"view": ("place",)})
    assert said.schema.names == [ID, "event_timestamp", "known", "unknown"]
    assert said["unknown"].to_pylist() == [None if known else "place" for known in said["known"].to_pylist()]
    assert said["known"].to_pylist() == [value is not None for value in table["view__a"].to_pylist()]
    sizes = np.array(table["request__size"].to_pylist())
    with np.errstate(over="ignore"):
        assert np.array_equal(features["request__size"].to_numpy(), sizes.astype(np.float32))


def test_of_each_key_the_unknown_ones_are_counted(tmp_path: Path) -> None:
    table = pa.table(
        {
            ID: ["a", "b", "c"],
            "event_timestamp": pa.array([datetime(2026, 1, 1)] * 3, pa.timestamp("us")),
            "hotels__a": pa.array([1.0, None, None], pa.float32()),
            "hotels__b": pa.array([None, None, 2.0], pa.float32()),
            "guests__a": pa.array([1.0, None, None], pa.float32()),
        }
    )
    said, _ = loaded_piece(table, ["hotels__a"], table.column_names[2:], {"hotels": ("hotel",), "guests": ("guest",)})
    assert (said["known"].to_pylist(), said["unknown"].to_pylist()) == (
        [True, False, True], [None, "hotel, guest", "guest"],
    )  # fmt: skip
    pq.write_table(said, tmp_path / "scored.parquet")
    assert count_unknown(tmp_path / "scored.parquet") == {"guest": 2, "hotel": 1}
