"""Planted features: each is caught, and so is whatever would let one through."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from feature_repo import historical
from ml_assets.config.model_spec import Task
from ml_assets.conformance import leakage_injection as planted
from ml_assets.conformance.context import Context
from ml_assets.conformance.verdict import Outcome
from ml_assets.datasets import leakage as leaks
from ml_assets.datasets.cutoffs import EVENT_TIMESTAMP


def test_what_is_planted_is_caught_or_not_seen(champion: Context, tmp_path: Any) -> None:
    found = planted.plant(champion, tmp_path)
    assert found.seen == 0
    assert planted.missed(found) is None
    assert planted.LABEL in found.leaks
    assert planted.LATER not in found.leaks
    assert bool(found.off_midnight) is not champion.spec.ranks
    if not champion.spec.ranks:
        assert "very moment" in found.leaks[planted.NEVER_ALONE]


def test_a_sound_ranking_passes(champion_of: Any) -> None:
    found = planted.leaks(champion_of(Task.RANKING))
    assert found.outcome is Outcome.PASSED, found.text
    assert "midnight" in found.text


def test_a_model_with_a_leak_of_its_own_is_caught(champion_of: Any, tmp_path: Any) -> None:
    subject = champion_of(Task.RANKING)
    copy = tmp_path / "0123456789abcdef"
    copy.mkdir()
    for file in subject.dataset.path.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    rows = pq.read_table(copy / "rows.parquet")
    at = rows.schema.get_field_index("noise")
    pq.write_table(rows.set_column(at, "noise", pc.cast(rows["label"], pa.float32())), copy / "rows.parquet")
    subject.dataset = type(subject.dataset)(copy)
    found = planted.leaks(subject)
    assert found.outcome is Outcome.FAILED
    assert "noise alone predicts label" in found.text


def test_a_leak_check_that_finds_nothing_is_caught(champion: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planted, "find_leaks", lambda spec, dataset, settings: [])
    found = planted.leaks(champion)
    assert found.outcome is Outcome.FAILED
    assert "the label itself goes unnoticed" in found.text


def test_a_leak_check_without_the_moment_is_caught(champion_of: Any, tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(leaks, "_at_the_event", lambda spec, dataset, settings: [])
    problem = planted.missed(planted.plant(champion_of(Task.BINARY), tmp_path))
    assert problem is not None
    assert "very moment" in problem


def test_a_join_that_sees_the_future_is_caught(champion: Context, tmp_path: Any, monkeypatch: Any) -> None:
    honest = historical.training_frame

    def late(store: Any, service: str, entities: Any, out: Any) -> int:
        asked = pq.read_table(entities)
        at = asked.schema.get_field_index(EVENT_TIMESTAMP)
        moved = pc.add(asked[EVENT_TIMESTAMP], pa.scalar(60_000_000, pa.duration("us")))
        pq.write_table(asked.set_column(at, EVENT_TIMESTAMP, moved), entities)
        return honest(store, service, entities, out)

    monkeypatch.setattr(historical, "training_frame", late)
    problem = planted.missed(planted.plant(champion, tmp_path))
    assert problem is not None
    assert "known a second later" in problem
