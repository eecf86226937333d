"""The point-in-time join: this project's offline store beside Feast's DuckDB store and a hand-written join.

All three go from a Parquet file of entity rows to a Parquet file with 12 features from two views. Ours and the
hand-written one (the floor) have the same threads and memory; the rows come out in the order they went in.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from benchmarks.speed.child import side_by_side
from benchmarks.speed.offline_data import (
    CUSTOMER_FEATURES,
    FEATURES,
    PRODUCT_FEATURES,
    Files,
    feature_store,
    make,
    references,
)
from benchmarks.speed.result import Result
from ml_assets.config.settings import PROJECT

THREADS, MEMORY = 2, "4GB"
PEERS = PROJECT / ".peers"
NAME = "offline: point-in-time join"


def measure(quick: bool, work: Path) -> Iterator[Result]:
    """100 thousand rows; in full also 1, 3 and 30 million, the peer up to 1 million (it needs 18 GB for 3)."""
    yield from _measured(work, 100_000, "100 k", repeats=1 if quick else 3, peer=True)
    if not quick:
        yield from _measured(work, 1_000_000, "1 M", repeats=3, peer=True)
        yield from _measured(work, 3_000_000, "3 M", repeats=3, peer=False)
        yield from _measured(work, 30_000_000, "30 M", repeats=1, peer=False)


def _measured(work: Path, rows: int, scale: str, *, repeats: int, peer: bool) -> Iterator[Result]:
    files = make(work, rows)
    out = {name: str(work / f"offline_{name}.parquet") for name in ("ours", "floor", "peer")}
    given: dict[str, Any] = {"files": asdict(files)}
    contestants = {
        "ours": ("benchmarks.speed.offline:ours", {**given, "out": out["ours"]}),
        "floor": ("benchmarks.speed.offline:floor", {**given, "out": out["floor"]}),
    }
    if peer:
        where = {"env": {"PYTHONPATH": str(_peers())}}
        contestants["peer"] = ("benchmarks.peers.feast_duckdb:join", {**given, **where, "out": out["peer"]})
    try:
        ran = side_by_side(repeats, contestants)
        _agree({name: out[name] for name in ran}, rows)
    finally:
        for path in out.values():
            Path(path).unlink(missing_ok=True)
    where = f"{scale} rows x {len(FEATURES)} features"
    yield Result(NAME, where, **{name: each.seconds for name, each in ran.items()}, peak_mb=ran["ours"].peak_mb)
    yield Result(f"{NAME}, memory", where, **{name: each.peak_mb for name, each in ran.items()}, unit="MB")


def ours(files: dict[str, str], out: str) -> dict[str, Any]:
    """The store through Feast's API."""
    with TemporaryDirectory() as folder:
        options = {"type": "feature_repo.stores.asof.AsofOfflineStore", "threads": THREADS, "memory": MEMORY}
        options["temp_directory"] = str(Path(out).with_suffix(".spill"))
        store = feature_store(Files(**files), options, Path(folder))
        began = time.perf_counter()
        store.get_historical_features(Path(files["entities"]), references()).to_parquet(out)
        return {"seconds": time.perf_counter() - began}


def floor(files: dict[str, str], out: str) -> dict[str, Any]:
    """What one would write by hand for these two views."""
    chosen = [*(f"c.{name}" for name in CUSTOMER_FEATURES), *(f"p.{name}" for name in PRODUCT_FEATURES)]
    spill = str(Path(out).with_suffix(".spill"))
    settings = {"threads": THREADS, "memory_limit": MEMORY, "temp_directory": spill}
    with duckdb.connect(config=settings) as connection:
        began = time.perf_counter()
        connection.execute(f"""
            copy (
                select e.*, {", ".join(chosen)}
                from '{files["entities"]}' as e
                asof left join '{files["customers"]}' as c
                    on e.customer_id = c.customer_id and e.event_timestamp >= c.event_timestamp
                asof left join '{files["products"]}' as p
                    on e.product_id = p.product_id and e.event_timestamp >= p.event_timestamp
                order by e.entity_row
            ) to '{out}' (format parquet)
        """)
        return {"seconds": time.perf_counter() - began}


def _peers() -> Path:
    """Where the peer's packages are; installed from their hash-pinned lock unless they are there."""
    if not (PEERS / "ibis").exists():
        uv, lock = Path(sys.executable).with_name("uv"), PROJECT / "benchmarks" / "peers" / "requirements.lock"
        options = ["--quiet", "--no-deps", "--require-hashes", "--target", str(PEERS)]
        subprocess.run([str(uv), "pip", "install", *options, "-r", str(lock)], check=True)
    return PEERS


def _agree(out: dict[str, str], rows: int) -> None:
    """Every contestant gave every row the same values, and ours kept the order."""
    values = ", ".join(f"{name}::varchar" for name in FEATURES)
    with duckdb.connect(config={"threads": THREADS, "memory_limit": MEMORY}) as connection:
        digests = {
            name: connection.execute(
                f"select count(*), count(distinct entity_row), bit_xor(hash(entity_row, {values})) from '{path}'"
            ).fetchall()[0]
            for name, path in out.items()
        }
        moved = connection.execute(
            "select count(*) from read_parquet(?, file_row_number = true) where entity_row <> file_row_number",
            [out["ours"]],
        ).fetchall()[0][0]
    if len(set(digests.values())) > 1 or digests["ours"][:2] != (rows, rows) or moved:
        raise RuntimeError(f"the contestants differ: {digests}; ours has {moved} rows in another place")
