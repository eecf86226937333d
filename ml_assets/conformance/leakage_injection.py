"""A feature known only after the event, planted three ways: each must be caught, or must not be seen at all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml_assets.config.settings import Settings
from ml_assets.conformance.context import Context
from ml_assets.conformance.verdict import Finding, judged
from ml_assets.datasets.cutoffs import EVENT_TIMESTAMP, NOW
from ml_assets.datasets.leakage import find_leaks
from ml_assets.datasets.sampling import sample_groups
from ml_assets.datasets.split import LEARNED
from ml_assets.datasets.training_set import MANIFEST, ROWS, DatasetRef

EVENTS, LISTS = 5000, 100
"""Labelled events of each part, and lists of each part, that features are planted for."""
KEY, SERVICE, BEFORE = "planted_key", "planted", -1.0
LABEL, LATER, NEVER_ALONE = "planted__label", "planted_later__value", "planted_now__value"
"""The label itself; the label, stamped a second after; a draw that says nothing, stamped at the very moment."""
DECLARED = f"""
entities: {{{SERVICE}: {{key: {KEY}, description: A row of the training set.}}}}
views:
  planted_later: {{table: feat_planted_later, entities: [{SERVICE}], description: Late., features: {{value: float}}}}
  planted_now: {{table: feat_planted_now, entities: [{SERVICE}], description: At once., features: {{value: float}}}}
services:
  {SERVICE}: {{views: [planted_later, planted_now], description: Known only after the event.}}
"""


@dataclass(frozen=True)
class Planted:
    """Rows with the planted features: how many, of which so many not at midnight, and so many that saw the future."""

    rows: int
    off_midnight: int
    seen: int
    leaks: dict[str, str]


def leaks(subject: Context) -> Finding:
    """The model's own features do not leak; planted ones are refused, or are not seen by the point-in-time join."""
    own = find_leaks(subject.spec, subject.dataset, subject.settings)
    with subject.folder() as aside:
        found = plant(subject, aside)
    problem = f"the model's own features leak: {'; '.join(leak.text for leak in own)}" if own else missed(found)
    moment = (
        f"a row stamped with the moment of the event is refused ({found.leaks.get(NEVER_ALONE, '')})"
        if found.off_midnight
        else "rows stamped with the moment itself are not judged: all is asked at midnight, as the day before is known"
    )
    return judged(
        problem,
        f"{len(subject.dataset.manifest.features)} features do not leak; a planted label is refused; of {found.rows:,} "
        f"rows stamped a second late the join sees none; {moment}",
        features=len(subject.dataset.manifest.features),
        rows=found.rows,
        off_midnight=found.off_midnight,
        seen_too_early=found.seen,
        refused=found.leaks,
    )


def missed(found: Planted) -> str | None:
    """What went unnoticed, or None."""
    if LABEL not in found.leaks:
        return "a feature that is the label itself goes unnoticed"
    if found.seen:
        return f"the point-in-time join sees {found.seen:,} of {found.rows:,} values that are known a second later"
    if found.off_midnight and NEVER_ALONE not in found.leaks:
        return "a feature that changes at the very moment of the event goes unnoticed"
    return None


def plant(subject: Context, aside: Path) -> Planted:
    """Plant the features in a feature store and a training set of their own, join them, and look for leaks.

    Every key has a value from the day before, so that a join that sees nothing too early finds that one.
    """
    scratch = Settings(home=aside, shop=subject.settings.shop, threads=subject.settings.threads)
    rows = _sample(subject)
    _warehouse(scratch, rows, subject.spec.label, subject.spec.training.seed)
    dataset = _joined(subject, scratch, rows, aside / "set")
    values = pq.read_table(dataset.path / ROWS, columns=[LATER])[LATER].to_numpy()
    found = find_leaks(subject.spec.model_copy(update={"feature_service": SERVICE}), dataset, scratch)
    midnight = pc.equal(pc.floor_temporal(rows[EVENT_TIMESTAMP], unit="day"), rows[EVENT_TIMESTAMP])
    return Planted(
        rows=len(rows),
        off_midnight=len(rows) - int(pc.sum(midnight).as_py()),
        seen=int(np.count_nonzero(values != BEFORE)),
        leaks={leak.feature: leak.text for leak in found},
    )


def _sample(subject: Context) -> pa.Table:
    """Rows to learn from: a key of their own, the moment they are asked at, label, part and list."""
    spec = subject.spec
    columns, found = [spec.label, "split", "group", spec.time], []
    for part in LEARNED:
        table = pq.read_table(subject.dataset.path / ROWS, columns=columns, filters=[("split", "=", part.value)])
        sizes = np.unique(table["group"].to_numpy(), return_counts=True)[1]
        found.append(table.filter(pa.array(sample_groups(sizes, LISTS if spec.ranks else EVENTS, spec.training.seed))))
    rows = pa.concat_tables(found)
    moment = rows[spec.time].cast(pa.timestamp("us"))
    now = pc.divide(pc.cast(moment.cast(pa.int64()), pa.float64()), 1e6)
    added = {KEY: pa.array([f"k{at}" for at in range(len(rows))]), EVENT_TIMESTAMP: moment, NOW: now}
    rows = rows.select([spec.label, "split", "group"])
    for name, column in {**added, LABEL: pc.cast(rows[spec.label], pa.float32())}.items():
        rows = rows.append_column(name, column)
    return rows


def _warehouse(scratch: Settings, rows: pa.Table, label: str, seed: int) -> None:
    """Feature tables with a value of the day before, and one a second late or at the very moment."""
    scratch.warehouse.parent.mkdir(parents=True, exist_ok=True)
    drawn = pa.array(np.random.default_rng(seed).random(len(rows)))
    late = {
        "later": (timedelta(seconds=1), pc.cast(rows[label], pa.float64())),
        "now": (timedelta(), drawn),
    }
    with duckdb.connect(str(scratch.warehouse)) as warehouse:
        for name, (after, value) in late.items():
            before = pa.array(np.full(len(rows), BEFORE))
            stamped = [
                pa.table(
                    {KEY: rows[KEY], EVENT_TIMESTAMP: pc.add(rows[EVENT_TIMESTAMP], pa.scalar(moved)), "value": each}
                )
                for moved, each in ((timedelta(days=-1), before), (after, value))
            ]
            warehouse.register("stamped", pa.concat_tables(stamped))
            warehouse.execute(f"create table feat_planted_{name} as select * from stamped")
            warehouse.unregister("stamped")


def _joined(subject: Context, scratch: Settings, rows: pa.Table, folder: Path) -> DatasetRef:
    """A training set of the planted features alone, by the same join as every other."""
    import yaml

    from feature_repo.declared import FeatureFile
    from feature_repo.declared_views import objects_of
    from feature_repo.historical import training_frame
    from feature_repo.store import open_store

    store = open_store(scratch)
    entities, views, services = objects_of(FeatureFile.model_validate(yaml.safe_load(DECLARED)))
    store.apply([*entities, *views, *services])
    folder.mkdir()
    pq.write_table(rows, folder / "entities.parquet")
    training_frame(store, SERVICE, folder / "entities.parquet", folder / ROWS)
    manifest = subject.dataset.manifest.model_copy(update={"features": (LABEL, LATER, NEVER_ALONE)})
    (folder / MANIFEST).write_text(manifest.model_dump_json())
    return DatasetRef(folder)
