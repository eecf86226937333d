"""Batch scoring: a file of features to ranked lists, and a whole day's predictions, features and all.

The rows are those of a demo's training set, over and over, the model is the one it trained. The floor is a bare
`Booster.predict` over the matrix in memory, with as many threads; it reads, ranks and writes nothing.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.speed import child
from benchmarks.speed.home import FULL, SMALL, demo_settings
from benchmarks.speed.result import Result
from ml_assets.config.model_spec import SHOP, ModelSpec, model_specs
from ml_assets.config.settings import Settings
from ml_assets.datasets.split import Part
from ml_assets.datasets.training_set import ROWS as ROWS_FILE
from ml_assets.registry.versions import list_versions, load_version
from ml_assets.storage.files import replace_file

ROWS = {True: (400_000,), False: (1_000_000, 4_000_000)}
"""Rows scored, and (not quick) four times as many: what is constant shows in the memory."""
ROW_GROUP = 131_072
CHUNK = 2_000
"""Customers the peer joins features for at a time."""


def measure(quick: bool, work: Path) -> Iterator[Result]:
    """Scoring; in full at two sizes, and a whole day."""
    settings, (spec,) = demo_settings(work, SMALL if quick else FULL), model_specs(SHOP)
    version = list_versions(settings, spec.name)[0]
    for rows in ROWS[quick]:
        yield _scoring(spec, settings, version, _frame(spec, settings, version, rows, work / "batch"), quick=quick)
    if not quick:
        yield _day(spec, settings, version, work / "batch")


def _scoring(spec: ModelSpec, settings: Settings, version: Path, frame: Path, *, quick: bool) -> Result:
    keys, outs = [spec.entity, spec.time, spec.item], [str(frame.with_name(f"{name}.parquet")) for name in "ab"]
    said = {"version": str(version), "frame": str(frame), "k": spec.serving.k, "threads": settings.threads}
    here = "benchmarks.speed.batch"
    ran = child.side_by_side(
        1 if quick else 3,
        {
            "ours": (f"{here}:score", {**said, "keys": keys, "out": outs[0]}),
            "peer": ("benchmarks.peers.plain_predict:score", {**said, "keys": keys, "out": outs[1]}),
            "floor": (f"{here}:bare_predict", {name: said[name] for name in ("version", "frame", "threads")}),
        },
    )
    _check_same(*(pq.read_table(out, columns=[*keys, "rank", "score"]) for out in outs))
    rows, features = pq.read_metadata(frame).num_rows, len(load_version(version).features)
    return Result(
        "batch: scoring",
        f"{rows / 1e6:g} M rows x {features} features",
        rows / ran["ours"].seconds,
        rows / ran["peer"].seconds,
        rows / ran["floor"].seconds,
        "rows/s",
        ran["ours"].peak_mb,
    )


def _day(spec: ModelSpec, settings: Settings, version: Path, folder: Path) -> Result:
    from ml_assets.storage.warehouse import as_of

    home, out = _copy(settings, folder / "home"), folder / "day.parquet"
    day = (as_of(settings) - timedelta(days=1)).date().isoformat()
    said = {"home": str(home), "shop": settings.shop, "version": str(version), "day": day}
    ran = {
        "ours": child.run("benchmarks.speed.batch:predict_day", **said),
        "peer": child.run("benchmarks.peers.plain_predict:predict_day", **said, out=str(out), chunk=CHUNK),
    }
    keys = [spec.entity, spec.time, spec.item, "rank", "score"]
    _check_same(pq.read_table(ran["ours"].answer["path"], columns=keys), pq.read_table(out, columns=keys))
    return Result(
        "batch: a day, features made",
        f"{ran['ours'].answer['customers']:,} customers x {spec.retrieval.total} candidates",
        ran["ours"].seconds,
        ran["peer"].seconds,
        peak_mb=ran["ours"].peak_mb,
    )


def score(*, version: str, frame: str, out: str, keys: list[str], k: int, threads: int) -> dict[str, Any]:
    """Ours: the file through `score_file`."""
    from ml_assets.scoring.scored_file import score_file

    ref = load_version(Path(version))
    ref.booster()  # imports LightGBM before the clock runs
    Path(out).unlink(missing_ok=True)
    began = time.perf_counter()
    rows = score_file(ref, Path(frame), Path(out), keys, k, threads=threads)
    return {"seconds": time.perf_counter() - began, "rows": rows}


def bare_predict(version: str, frame: str, threads: int) -> dict[str, Any]:
    """The floor: `Booster.predict` alone; the matrix is there already."""
    import numpy as np

    ref = load_version(Path(version))
    booster = ref.booster()
    with pq.ParquetFile(frame) as source:
        x = np.empty((source.metadata.num_rows, len(ref.features)), dtype=np.float32)
        at = 0
        for batch in source.iter_batches(columns=list(ref.features)):
            x[at : at + len(batch)] = batch.to_tensor(null_to_nan=True).to_numpy()
            at += len(batch)
    began = time.perf_counter()
    scores = booster.predict(x, num_threads=threads)
    return {"seconds": time.perf_counter() - began, "rows": len(scores)}


def predict_day(home: str, shop: str, version: str, day: str) -> dict[str, Any]:
    """Ours: the day through `predict_day`, from the warehouse to the published file."""
    from feature_repo.store import open_store
    from ml_assets.scoring import batch

    load_version(Path(version)).booster()
    settings, (spec,) = Settings(home=Path(home), shop=shop), model_specs(SHOP)
    began = time.perf_counter()
    written = batch.predict_day(spec, settings, open_store(settings), Path(version), date.fromisoformat(day))
    return {"seconds": time.perf_counter() - began, "customers": written.customers, "path": str(written.path)}


def _frame(spec: ModelSpec, settings: Settings, version: Path, rows: int, folder: Path) -> Path:
    """A Parquet file of so many rows of judged decisions (all candidates of a customer are there), made once."""
    ref = load_version(version)
    frame = folder / f"{ref.version}-{rows}.parquet"
    if not frame.exists():
        training_set = settings.model_home(spec.name) / "training_sets" / ref.training_set / ROWS_FILE
        with replace_file(frame) as aside, pq.ParquetFile(training_set) as source:
            columns = [spec.entity, spec.time, spec.item, *ref.features]
            with pq.ParquetWriter(aside, source.schema_arrow.empty_table().select(columns).schema) as writer:
                for table in _repeated(source, columns, rows):
                    writer.write_table(table)
    return frame


def _repeated(source: pq.ParquetFile, columns: list[str], rows: int) -> Iterator[pa.Table]:
    for time_around in count():
        for batch in source.iter_batches(ROW_GROUP, columns=[*columns, "split"]):
            table = pa.Table.from_batches([batch])
            table = table.filter(pc.not_equal(table["split"], Part.TRAIN.value)).select(columns).slice(0, rows)
            if not len(table):
                continue  # else it would become a row group of nothing
            customer = pc.binary_join_element_wise(table[columns[0]], str(time_around), "-")
            yield table.set_column(0, columns[0], customer)
            rows -= len(table)
            if rows <= 0:
                return


def _copy(settings: Settings, home: Path) -> Path:
    """A home that reads the demo's warehouse and feature definitions and has no predictions yet."""
    shutil.rmtree(home, ignore_errors=True)
    copy = settings.model_copy(update={"home": home})
    copy.shop_home.mkdir(parents=True)
    copy.warehouse.symlink_to(settings.warehouse)
    shutil.copytree(settings.online_store.parent, copy.online_store.parent)
    return home


def _check_same(ours: pa.Table, peer: pa.Table) -> None:
    order = [(name, "ascending") for name in ours.column_names]
    if not ours.sort_by(order).equals(peer.cast(ours.schema).sort_by(order)):
        raise RuntimeError(f"the lists differ: {len(ours)} rows of ours, {len(peer)} of the peer")
