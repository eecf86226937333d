"""A simulated shop's life without a server: what it would have answered each day, and what customers did with it.

Each day's visitors ask when they came; the lists come from an index as of that morning, features as of that morning by
the point-in-time join, and a version trained before; the shop's customers answer. Written as the daily tables
of predictions, so that everything that watches a model runs on it exactly as in production.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.replay_tables import AskedDay, publish
from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import PROJECT, Settings
from ml_assets.config.source_spec import SourceSpec, load_source
from ml_assets.datasets.cutoffs import at_decision, candidate_table, midnight
from ml_assets.ingestion.ingest import ingest
from ml_assets.registry.versions import VersionRef, load_version, publish_version, versions_home
from ml_assets.simulation import Shop, SimulationSpec, write_days
from ml_assets.storage.files import write_text_atomically
from ml_assets.storage.warehouse import connect

ROWS_AT_ONCE = 400_000
"""Candidates scored at a time: bounds the memory, never the result."""
HISTORY_DAYS = 730

_VISITORS = """
select event_ts::date as day, customer_id, min(event_ts) as came
from stg_events
where event_ts::date between $first and $last
group by all
order by all
"""


@dataclass(frozen=True)
class Life:
    """A simulated shop in a folder of its own, lived up to `known` (exclusive)."""

    home: Path
    simulation: SimulationSpec
    spec: ModelSpec

    @cached_property
    def settings(self) -> Settings:
        """One thread: shops live side by side."""
        return Settings(home=self.home, shop="simulated", threads=1, memory="1500MB")

    @cached_property
    def source(self) -> SourceSpec:
        """The simulated shop's tables, without an end."""
        source = load_source(self.settings.shop_file)
        return source.model_copy(update={"calendar": source.calendar.model_copy(update={"end": None})})

    @cached_property
    def shop(self) -> Shop:
        """The customers."""
        return Shop(self.simulation)

    @cached_property
    def store(self) -> Any:
        """The feature store, applied."""
        from feature_repo.store import apply, open_store

        self.settings.export()
        store = open_store(self.settings)
        apply(store)
        return store

    def day(self, number: int) -> date:
        """The shop's n-th day, from 0."""
        return self.simulation.start + timedelta(days=number)

    def branch(self, home: Path, simulation: SimulationSpec) -> Life:
        """The same past, another future."""
        shutil.copytree(self.home, home)
        return Life(home, simulation, self.spec)


def live(life: Life, first: date, last: date) -> None:
    """Let the days happen: files, lake, warehouse.

    Raises:
        RuntimeError: when dbt fails.
    """
    write_days(life.simulation, life.settings.landing, first, last)
    for table in ("products", "events"):
        ingest(life.source, table, life.settings, first, last)
    _build(life.settings, first, last)


def _build(settings: Settings, first: date, last: date) -> None:
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    settings.export()
    project, work = str(PROJECT / "dbt_project"), settings.shop_home / "dbt"
    outcome = dbtRunner().invoke(
        [
            *("run", "--quiet", "--project-dir", project, "--profiles-dir", project),
            *("--target-path", str(work), "--log-path", str(work)),
            *("--vars", f"{{start_date: '{first}', end_date: '{last}'}}"),
        ]
    )
    DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
    if not outcome.success:
        raise RuntimeError(
            f"dbt failed for {first} to {last} in {settings.shop_home}: {outcome.exception or 'see its log'}"
        )


def train_version(life: Life, today: date) -> VersionRef:
    """A version trained on what was known on the morning of `today`, by `retraining.split`; no MLflow, no gate.

    It is trained once: lives with the same past share it.
    """
    trained = life.settings.shop_home / "trained" / f"{today}.json"
    if trained.exists():
        return load_version(versions_home(life.settings, life.spec.name) / json.loads(trained.read_text()))
    version = _train(life, today)
    write_text_atomically(trained, json.dumps(version.version))
    return version


def _train(life: Life, today: date) -> VersionRef:
    from ml_assets.datasets.build import build_training_set
    from ml_assets.training import booster as ranker
    from ml_assets.training.train import fit

    spec, settings = life.spec, life.settings
    newest = today - timedelta(days=spec.horizon_days)
    dataset = build_training_set(spec, settings, life.store, split=spec.retraining.split, newest=newest)
    params = ranker.parameters(spec, settings)
    fitted = fit(spec, dataset, params)
    split = {part.value: [day.isoformat() for day in days] for part, days in dataset.manifest.split.items()}
    return publish_version(
        settings,
        spec.name,
        fitted.booster.model_to_string(),
        f"replay-{today}",
        features=dataset.manifest.features,
        params=params,
        training_set=dataset.fingerprint,
        metrics={"validation_ndcg_10": fitted.value, "rounds": fitted.rounds},
        created_from={"split": split},
    )


def serve(life: Life, version: VersionRef, days: Sequence[date]) -> int:
    """Answer the visitors of these consecutive days and publish the daily tables; returns the answers."""
    from ml_assets.retrieval.history import read_catalogue, read_interactions

    with connect(life.settings) as warehouse:
        interactions = read_interactions(warehouse, max(days), HISTORY_DAYS)
        catalogue = read_catalogue(warehouse, max(days))
        span = {"first": min(days), "last": max(days)}
        visits = warehouse.sql(_VISITORS, params=span).to_arrow_table()
    booster = version.booster()
    for piece in _pieces(life, visits, days):
        frame = _features(life, piece, interactions, catalogue)
        x = np.column_stack([frame[name].to_numpy().astype(np.float32) for name in version.features])
        score = np.asarray(booster.predict(x, num_threads=1), dtype=np.float32)
        at = frame[life.spec.time].cast(pa.date32())
        for day, visitors in piece:
            rows = pc.indices_nonzero(pc.equal(at, pa.scalar(day))).to_numpy()
            asked = AskedDay(version, day, visitors, frame.take(pa.array(rows)), x[rows], score[rows])
            publish(life.settings, life.spec, life.shop, asked)
    return len(visits)


Visitors = tuple[date, pa.Table]


def _pieces(life: Life, visits: pa.Table, days: Sequence[date]) -> Iterator[list[Visitors]]:
    """Days with their visitors, as many together as may be scored at once."""
    piece: list[Visitors] = []
    for day in days:
        visitors = visits.filter(pc.equal(visits["day"], pa.scalar(day)))
        asked = sum(len(each) for _, each in piece) + len(visitors)
        if piece and asked * life.spec.retrieval.total > ROWS_AT_ONCE:
            yield piece
            piece = []
        piece.append((day, visitors))
    yield piece


def _features(life: Life, piece: list[Visitors], interactions: pa.Table, catalogue: pa.Table) -> pa.Table:
    """Candidates of all visitors, each as of the morning of its day, with their features."""
    from feature_repo.historical import training_frame
    from ml_assets.retrieval.index import build_index

    spec, asked = life.spec, []
    for day, visitors in piece:
        index = build_index(interactions, catalogue, midnight(day), spec.retrieval)
        candidates = candidate_table(index, visitors["customer_id"].to_pylist(), spec)
        known = np.array([customer in index.customer_positions for customer in candidates[spec.entity].to_pylist()])
        asked.append(at_decision(candidates.append_column("known", pa.array(known)), midnight(day), spec))
    entities, out = life.settings.shop_home / "asked.parquet", life.settings.shop_home / "frame.parquet"
    pq.write_table(pa.concat_tables(asked), entities)
    training_frame(life.store, spec.feature_service, entities, out)
    return pq.read_table(out)
