"""What a real evaluation promises, and a version without days of its own that is held against it; its page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from event_days import labels_until, nth, write_events
from page_reader import read
from tiny_labelled import A_DAY, PARTS, labelled_spec, write_labelled_set

from ml_assets.config.model_spec import ModelSpec, Task
from ml_assets.config.settings import Settings
from ml_assets.evaluation.evaluate import LISTS, evaluate, evaluation_folder
from ml_assets.monitoring.quality import event_quality as watched
from ml_assets.monitoring.quality.event_promise import promise
from ml_assets.monitoring.quality.event_quality import event_quality
from ml_assets.monitoring.report.event_pages import event_quality_page
from ml_assets.training.train import train


@pytest.fixture(params=[Task.BINARY, Task.REGRESSION], ids=str)
def evaluated(request: pytest.FixtureRequest, tracked: Settings) -> tuple[ModelSpec, Settings, str]:
    spec = labelled_spec(request.param)
    dataset = write_labelled_set(tracked.model_home("tips") / "training_sets" / "0123456789abcdef", spec)
    version = train(spec, tracked, dataset).version
    evaluate(spec, tracked, dataset, version, evidently=False)
    return spec, tracked, version.version


def test_a_promise_is_the_test_part_of_the_evaluation(evaluated: tuple[ModelSpec, Settings, str]):
    spec, settings, version = evaluated
    told = promise(spec, settings, version)
    assert told is not None
    rows = pq.read_table(
        evaluation_folder(settings, "tips", version) / LISTS,
        filters=[("contender", "=", "candidate"), ("split", "=", "test")],
    )
    label, score = rows["label"].to_numpy(), rows["score"].to_numpy()
    assert told.told.rows == len(label) == PARTS["test"] * A_DAY
    assert told.told.gap.value == pytest.approx((label - score).mean())
    assert told.told.skill.value == pytest.approx(1 - np.mean((label - score) ** 2) / np.var(label), abs=0.05)
    assert told.told.metrics[spec.gate.metric] is not None
    assert sum(each.rows for each in told.told.bins) == len(label)
    assert len(told.days) >= 3
    assert sum(each.moments.n for each in told.days) == pytest.approx(len(label), rel=0.2)


def test_a_version_without_days_is_held_against_its_promise(
    evaluated: tuple[ModelSpec, Settings, str], monkeypatch: pytest.MonkeyPatch
):
    spec, settings, version = evaluated
    calendar = type("Calendar", (), {"end": None})
    monkeypatch.setattr(watched, "source_of", lambda name, settings: type("Source", (), {"calendar": calendar}))
    rng = np.random.default_rng(2)
    for number in range(3):
        rows = pq.read_table(evaluation_folder(settings, "tips", version) / LISTS, filters=[("split", "=", "test")])
        chosen = rows.filter(np.array(rows["contender"].to_pylist()) == "candidate")
        label, score = chosen["label"].to_numpy(), chosen["score"].to_numpy()
        write_events(settings, number, rng.permutation(label) if number else label, score, version=version)
    labels_until(settings, 30)
    assert not event_quality(spec, settings, nth(0)).loss
    report = event_quality(spec, settings, nth(2))
    assert report.loss
    assert report.verdict.days[0].expected == pytest.approx(report.promise.skill.value, abs=0.1)
    page = read(event_quality_page(spec, settings, report))
    assert "The predictions are worth less than they were" in page.text
    assert len(page.addresses) == 3
    assert all(name in page.text for name in (*report.promise.metrics, "skill is what the test part promised"))


def test_without_an_evaluation_there_is_no_promise(settings: Settings):
    assert promise(labelled_spec(Task.BINARY), settings, "v1") is None


def test_a_page_without_traffic_has_no_pictures(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    calendar = type("Calendar", (), {"end": None})
    monkeypatch.setattr(watched, "source_of", lambda name, settings: type("Source", (), {"calendar": calendar}))
    spec = labelled_spec(Task.BINARY)
    labels_until(settings, 3)
    page = read(event_quality_page(spec, settings, event_quality(spec, settings, nth(3))))
    assert "No traffic" in page.text
    assert page.addresses == []
