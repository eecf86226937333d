from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from tiny_warehouse import DAYS, FIRST_DAY

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import PROJECT, Settings
from ml_assets.datasets.cutoffs import at_decision, candidate_table, midnight
from ml_assets.datasets.day_features import latest_features
from ml_assets.datasets.split import Part
from ml_assets.datasets.training_set import DatasetRef
from ml_assets.registry.versions import VersionRef
from ml_assets.scoring import batch
from ml_assets.scoring import pieces as scoring
from ml_assets.scoring.batch import predict_day

LAST_DAY = FIRST_DAY + dt.timedelta(days=DAYS - 1)

KILLED_AFTER_ITS_SECOND_PART = """
import os, signal, sys
from datetime import date
from pathlib import Path
from feature_repo.store import open_store
from ml_assets.scoring import batch
from ml_assets.scoring import pieces as scoring
from ml_assets.config.model_spec import RECORDED, ModelSpec
from ml_assets.config.settings import Settings

scoring.PART = 1
settings, spec, version, day = sys.argv[1:]
settings = Settings.model_validate_json(settings)
batch.predict_day(
    ModelSpec.model_validate_json(spec, context=RECORDED), settings, open_store(settings),
    Path(version), date.fromisoformat(day),
    progress=lambda _, done, __: os.kill(os.getpid(), signal.SIGKILL) if done > 5 else None, chunk=5,
)
"""


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "PART", 1)


def predicted(spec: ModelSpec, settings: Settings, version: VersionRef, day: dt.date, **said) -> batch.Written:
    from feature_repo.store import open_store

    return predict_day(spec, settings, open_store(settings), version.path, day, **said)


def test_batch_predictions_score_what_training_would_have_seen(
    built: DatasetRef, shop_spec: ModelSpec, elsewhere: Settings, version: VersionRef
):
    """At a decision's time the batch scores a judged customer as the training set's rows would be."""
    day = built.manifest.split[Part.TEST][-1]
    before = day - dt.timedelta(days=1)
    written = predicted(shop_spec, elsewhere, version, before, chunk=7)
    made = written.path.stat().st_mtime_ns
    assert predicted(shop_spec, elsewhere, version, before, chunk=7) == written
    assert written.path.stat().st_mtime_ns == made  # the same day from the same inputs is not made again
    lists = pq.read_table(written.path).to_pylist()
    assert written.rows == len(lists) == written.customers * shop_spec.serving.k
    rows = pq.read_table(built.path / "rows.parquet")
    rows = rows.filter(pc.equal(rows["decision_ts"], pa.scalar(dt.datetime.combine(day, dt.time()))))
    x = np.stack([rows[name].to_numpy() for name in version.features], axis=1)
    scored = dict(
        zip(
            zip(rows["customer_id"].to_pylist(), rows["product_id"].to_pylist(), strict=True),
            version.booster().predict(x),
            strict=True,
        )
    )
    both = [(row["score"], scored[key]) for row in lists if (key := (row["customer_id"], row["product_id"])) in scored]
    assert len(both) > 50
    assert all(batch == trained for batch, trained in both)


@pytest.mark.parametrize("days_back", [0, 1, 40])
def test_features_of_a_day_are_those_of_the_point_in_time_join(
    shop_spec: ModelSpec, elsewhere: Settings, tmp_path: Path, days_back: int
):
    """Every feature of every candidate, to the bit, however much newer the warehouse is."""
    from feature_repo.historical import training_frame
    from feature_repo.store import open_store

    store, as_of = open_store(elsewhere), midnight(LAST_DAY - dt.timedelta(days=days_back))
    index = batch.index_as_of(shop_spec, elsewhere, as_of)
    customers = sorted({*index.customers, "c07x"})  # one of them never seen
    rows = at_decision(candidate_table(index, customers, shop_spec), as_of, shop_spec)
    pq.write_table(rows, tmp_path / "rows.parquet")
    training_frame(store, shop_spec.feature_service, tmp_path / "rows.parquet", tmp_path / "joined.parquet")
    joined = pq.read_table(tmp_path / "joined.parquet")

    latest = latest_features(store, shop_spec.feature_service, as_of, shop_spec.entity, tmp_path / "latest")
    features = joined.column_names[len(rows.column_names) :]
    assert list(latest.features) == features
    found = latest.of(rows, ["retrieval__own", *features])
    assert found.column_names == ["retrieval__own", *features]
    differing = [
        name
        for name in found.column_names
        if not np.array_equal(found[name].to_numpy(), joined[name].to_numpy(), equal_nan=True)
    ]
    assert differing == []
    assert np.isnan(found["customer__orders_28d"].to_numpy()).any()  # the customer never seen
    assert latest.of(rows.slice(0, 0), features).num_rows == 0


def test_a_killed_batch_goes_on_and_ends_with_the_same_bytes(
    shop_spec: ModelSpec, elsewhere: Settings, version: VersionRef
):
    said = [elsewhere.model_dump_json(), shop_spec.model_dump_json(), str(version.path), LAST_DAY.isoformat()]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_AFTER_ITS_SECOND_PART, *said],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    home = elsewhere.model_home(shop_spec.name) / "batch_predictions" / f"event_day={LAST_DAY}"
    assert [path.name for path in sorted(home.rglob("*-*.parquet"))] == [
        "000000000000-000000000005.parquet",
        "000000000005-000000000010.parquet",
    ]
    assert not (home / "part.parquet").exists()
    seen: list[int] = []
    resumed = predicted(
        shop_spec, elsewhere, version, LAST_DAY, progress=lambda _, done, __: seen.append(done), chunk=5
    )
    assert seen == [15, 20, 24]  # what was there is not scored again
    assert sorted(path.name for path in home.iterdir()) == [".lock", "part.parquet"]
    straight = resumed.path.read_bytes()
    resumed.path.unlink()
    assert predicted(shop_spec, elsewhere, version, LAST_DAY, chunk=5).path.read_bytes() == straight


def test_how_many_at_a_time_changes_nothing(shop_spec: ModelSpec, elsewhere: Settings, version: VersionRef):
    both = elsewhere.model_copy(update={"threads": 3})
    lists = [
        pq.read_table(predicted(shop_spec, settings, version, LAST_DAY, chunk=chunk).path)
        for settings, chunk in ((elsewhere, 1), (both, 4), (elsewhere, None))
    ]
    assert lists[0].equals(lists[1])
    assert lists[0].equals(lists[2])


def test_a_feature_no_longer_defined_is_named(shop_spec: ModelSpec, elsewhere: Settings, version: VersionRef):
    from ml_assets.registry.versions import publish_version

    odd = publish_version(
        elsewhere,
        shop_spec.name,
        version.booster_file.read_text(),
        "r",
        features=("customer__gone", *version.features[1:]),
        params={},
        training_set="",
        metrics={},
        created_from={},
    )
    with pytest.raises(KeyError, match="customer__gone"):
        predicted(shop_spec, elsewhere, odd, LAST_DAY)
