"""Materializing into the online store and reading from it: ours, Feast's own stores, and bare sqlite.

The bars: 250,000 rows materialized in 5 s; one customer's features, and 100 products', read within 1 ms at the 99th
percentile. The same from Redis, where redis-server is installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed.child import Ran, run, side_by_side
from benchmarks.speed.online_data import Logs, make_logs, make_shop
from benchmarks.speed.online_redis import redis_server
from benchmarks.speed.result import Result

OURS, PEER = "benchmarks.speed.online_contestants", "benchmarks.peers.feast_online"
READS = ("one", "hundred")
QUESTIONS = {
    "one": "one customer's features p99",
    "hundred": "100 products' features p99",
    "busy": "100 products' features p99, all rows being written anew",
    "request": "one request's features, 100 products, p99",
}


@dataclass(frozen=True)
class Extent:
    """How much is measured: rows written, requests of ours and of the peer, runs in turns; and where it lies."""

    folder: Path
    rows: int
    reads: int
    peer_reads: int
    repeats: int


def measure(quick: bool, work: Path) -> Iterator[Result]:
    """Rows written, and reads per question; quick: a tenth of the rows, and of Redis only ours."""
    folder = work / "online" / ("quick" if quick else "full")
    extent = Extent(folder, 25_000, 1000, 100, 1) if quick else Extent(folder, 250_000, 4000, 1000, 3)
    logs, shop = make_logs(work, extent.rows), str(make_shop(work, extent.rows).home)
    yield from _logs(extent, logs)
    yield from _shop(extent, shop)
    with redis_server(folder / "redis") as address:
        if address is not None:
            yield from _redis(extent, logs, address, None if quick else _redis_peer(extent, logs, address))
        if address is not None and not quick:
            yield from _redis_shop(extent, shop, address)


def _logs(extent: Extent, logs: Logs) -> Iterator[Result]:
    folder, told = extent.folder, _told(logs)
    ours, floor = (
        {"home": f"{folder}/home", "logs": told, "address": None},
        {"logs": told, "path": f"{folder}/floor.db"},
    )
    peer = run(f"{PEER}:logs", folder=f"{folder}/feast", logs=told, address=None, count=extent.peer_reads)
    wrote = side_by_side(
        extent.repeats, {"ours": (f"{OURS}:ours_materialize", ours), "floor": (f"{OURS}:floor_materialize", floor)}
    )
    yield _written(_scale(logs), wrote["ours"], peer, wrote["floor"])
    asked = {"count": extent.reads}
    read = side_by_side(
        extent.repeats,
        {"ours": (f"{OURS}:ours_logs", ours | asked), "floor": (f"{OURS}:floor_logs", floor | asked)},
    )
    _agree(read["ours"], peer, read["floor"])
    for question in READS:
        yield _read(question, _scale(logs), read["ours"], peer, read["floor"])
    if extent.repeats > 1:
        busy = run(f"{OURS}:ours_logs_while_written", **ours, count=extent.reads)
        yield _read("busy", _scale(logs), busy)


def _shop(extent: Extent, home: str) -> Iterator[Result]:
    peer = run(f"{PEER}:shop", folder=f"{extent.folder}/feast_shop", home=home, count=extent.peer_reads // 4)
    ours = {"home": home, "address": None}
    wrote = side_by_side(extent.repeats, {"ours": (f"{OURS}:ours_materialize", ours | {"logs": None})})["ours"]
    scale = _shop_scale(wrote)
    yield _written(scale, wrote, peer)
    read = side_by_side(
        extent.repeats,
        {
            "ours": (f"{OURS}:ours_shop", ours | {"count": extent.reads}),
            "floor": (f"{OURS}:floor_shop", {"home": home, "count": extent.reads}),
        },
    )
    _agree(read["ours"], peer)
    yield _read("request", scale, read["ours"], peer, read["floor"])


def _redis_peer(extent: Extent, logs: Logs, address: str) -> Ran:
    place = {"folder": f"{extent.folder}/feast", "address": f"{address}/1"}
    return run(f"{PEER}:logs", logs=_told(logs), count=extent.peer_reads, **place)


def _redis(extent: Extent, logs: Logs, address: str, peer: Ran | None) -> Iterator[Result]:
    scale = f"{_scale(logs)}, Redis"
    ours = {"home": f"{extent.folder}/home_redis", "logs": _told(logs), "address": f"{address}/0"}
    wrote = side_by_side(extent.repeats, {"ours": (f"{OURS}:ours_materialize", ours)})["ours"]
    yield _written(scale, wrote, peer)
    read = side_by_side(extent.repeats, {"ours": (f"{OURS}:ours_logs", ours | {"count": extent.reads})})["ours"]
    others = [peer] if peer else []
    _agree(read, *others)
    for question in READS:
        yield _read(question, scale, read, *others)


def _redis_shop(extent: Extent, home: str, address: str) -> Iterator[Result]:
    shop = {"home": home, "address": f"{address}/2"}
    scale = f"{_shop_scale(run(f'{OURS}:ours_materialize', logs=None, **shop))}, Redis"
    read = side_by_side(extent.repeats, {"ours": (f"{OURS}:ours_shop", shop | {"count": extent.reads})})["ours"]
    yield _read("request", scale, read)


def _written(scale: str, ours: Ran, *others: Ran | None) -> Result:
    """`others`: the peer, then the floor, as far as there are any."""
    peer, floor = (*(other and other.seconds for other in others), None, None)[:2]
    return Result("online: materialize", scale, ours.seconds, peer, floor, "s", ours.peak_mb)


def _read(question: str, scale: str, ours: Ran, *others: Ran) -> Result:
    """`others`: the peer, then the floor, as far as there are any."""
    peer, floor = (*(other.answer[question] for other in others), None, None)[:2]
    return Result(f"online: {QUESTIONS[question]}", scale, ours.answer[question], peer, floor, "ms", ours.peak_mb)


def _agree(ours: Ran, *others: Ran) -> None:
    """Raise when another contestant read other values than ours."""

    def flat(answers: list[Any]) -> Any:
        return np.concatenate([np.ravel(np.array(part, dtype=np.float64)) for each in answers for part in each])

    for other in others:
        if not np.allclose(flat(ours.answer["answers"]), flat(other.answer["answers"]), rtol=1e-9, equal_nan=True):
            raise RuntimeError("contestants read different values")


def _scale(logs: Logs) -> str:
    return f"{sum(logs.sizes.values()):,} rows x 12 features"


def _shop_scale(wrote: Ran) -> str:
    return f"the shop's 5 views, {wrote.answer['rows']:,} rows"


def _told(logs: Logs) -> dict[str, Any]:
    return {**asdict(logs), "folder": str(logs.folder)}
