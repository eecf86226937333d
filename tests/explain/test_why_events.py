"""A predicted event explained, for each task that predicts events: by the booster that made it, up to the command."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_labelled import labelled_spec, write_labelled_set

from ml_assets import operate
from ml_assets.config.model_spec import ModelSpec, Task
from ml_assets.config.settings import Settings
from ml_assets.explain import EventExplanation, why
from ml_assets.prediction_log import day_folder
from ml_assets.registry.versions import VersionRef
from ml_assets.training.train import train

ROW = np.array([[1.5, -0.5, np.nan, 0.2]], dtype=np.float32)
AT = "2026-05-04T09:30:00+00:00"


@pytest.fixture(scope="module", params=[Task.BINARY, Task.REGRESSION])
def answered(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, new_tracked: Callable[[Path], Settings]
) -> tuple[Settings, ModelSpec, VersionRef]:
    """A trained model of the task, and a log of its service: `p-1` by the model, `p-2` without one."""
    spec = labelled_spec(request.param)
    settings = new_tracked(tmp_path_factory.mktemp("answered"))
    version = train(spec, settings, write_labelled_set(settings.model_home("tips") / "set", spec), {}).version
    folder = settings.model_home("tips") / "serving" / "predictions"
    folder.mkdir(parents=True)
    (folder / "features-f1.json").write_bytes(orjson.dumps(version.features))
    line = logged(version, spec.says)
    nobody = {"prediction_id": "p-2", "arm": "fallback", "model_version": None, "features_id": None, "features": []}
    lines = [orjson.dumps(each) + b"\n" for each in (line, {**line, **nobody})]
    (folder / "20260504T093000000000-1.jsonl").write_bytes(b"".join(lines))
    return settings, spec, version


def logged(version: VersionRef, says: str) -> dict[str, Any]:
    """A line of the log, as the service writes it."""
    return {
        "kind": "prediction", "prediction_id": "p-1", "time": AT, "logged_at": AT, "as_of": "2026-05-04T00:00:00+00:00",
        "model_version": version.version, "arm": "champion", "release_id": None, "features_id": "f1",
        "features": [[None if np.isnan(value) else float(value) for value in ROW[0]]], "degraded": [],
        "served_by": "code/1", "latency_ms": 2.5, "event": "e-7", "keys": {"place": "P1"},
        "request": {"size": 1.5, "hour": None}, "known": True, says: float(version.booster().predict(ROW)[0]),
    }  # fmt: skip


def test_a_predicted_event_is_explained(answered: tuple[Settings, ModelSpec, VersionRef]) -> None:
    settings, spec, version = answered
    found = why(settings, spec, "p-1", top=2)
    assert isinstance(found, EventExplanation)
    assert (found.event, found.keys, found.request) == ("e-7", {"place": "P1"}, {"size": 1.5, "hour": None})
    assert (found.notes, found.label) == ((), None)
    assert found.value == pytest.approx(float(version.booster().predict(ROW)[0]), rel=1e-6)
    assert found.origin is not None
    assert found.origin.run_id == version.run_id
    base, rest = found.moved.base, found.moved.rest
    assert base is not None
    assert rest is not None
    assert len(found.moved.contributions) == 2
    total = base + sum(one.moved for one in found.moved.contributions) + rest
    assert total == pytest.approx(float(version.booster().predict(ROW, raw_score=True)[0]), abs=1e-6)


def test_what_became_of_it_is_told_once_the_day_is_published(
    answered: tuple[Settings, ModelSpec, VersionRef],
) -> None:
    settings, spec, _ = answered
    published = day_folder(settings, spec.name, date(2026, 5, 4)) / "shown.parquet"
    published.parent.mkdir(parents=True)
    pq.write_table(pa.table({"prediction_id": ["p-1", "p-2"], "label": [1.0, None]}), published)
    labels = [getattr(why(settings, spec, each), "label", "none") for each in ("p-1", "p-2")]
    published.unlink()
    published.parent.rmdir()
    assert labels == [1.0, None]


def test_without_a_model_the_mean_answered(answered: tuple[Settings, ModelSpec, VersionRef]) -> None:
    settings, spec, _ = answered
    found = why(settings, spec, "p-2")
    assert found.origin is None
    assert "mean of the known labels" in found.notes[0]


@pytest.mark.parametrize("as_json", [False, True])
def test_the_command_says_it(
    answered: tuple[Settings, ModelSpec, VersionRef],
    as_json: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings, spec, version = answered
    monkeypatch.setattr(operate, "model_spec", lambda name: spec)
    given = Namespace(command="why", prediction_id="p-1", model=spec.name, json=as_json)
    assert operate.run(settings, given) == 0
    said = capsys.readouterr().out
    for each in ("p-1", "e-7", "place", version.version, version.run_id):
        assert each in said
