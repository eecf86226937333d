"""Serving: `/recommend` with 100 candidates over HTTP, server and load on the same cores.

Ours is the service as it is deployed, one BentoML worker. The peer is FastAPI with Feast's `get_online_features` and
`Booster.predict`. Floors run under bare uvicorn: the scorer alone, and the whole service without BentoML. All of
them answer the same requests with the same products; rounds take turns, medians count.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.peers.feast_sqlite import fill
from benchmarks.speed import child
from benchmarks.speed.home import FULL, SMALL, demo_settings, free_port
from benchmarks.speed.result import Result
from benchmarks.speed.serving_servers import Server, bentoml, require_agreement, uvicorn
from ml_assets.config.model_spec import ModelSpec, model_spec
from ml_assets.config.settings import Settings
from ml_assets.registry.history import write_pointer
from ml_assets.registry.pointer import Pointer, pointer_path, require_pointer
from ml_assets.retrieval.index import RetrievalIndex
from serving.deploy.build import BentoRef, build_bento

MODEL = "product_recommender"
CANDIDATES, REQUESTS, COMPARED = 100, 2000, 40
RATE, CONNECTIONS, WAITING = 200.0, 8, 64
"""Requests per second for latency; connections for throughput, and for requests that wait at a fixed rate."""
SUSTAINED = 0.7
"""Share of its throughput at which the latency of a server that cannot keep up with `RATE` is measured."""
ROUNDS, SECONDS = 3, 8.0
QUICK_ROUNDS, QUICK_SECONDS = 1, 2.0


@dataclass(frozen=True)
class Shop:
    """What is served from a home of its own, and what is asked."""

    settings: Settings
    spec: ModelSpec
    pointer: Pointer
    bodies: Path
    env: Mapping[str, str]

    def bento(self, workers: int) -> BentoRef:
        """The service with so many workers."""
        serving = self.spec.serving.model_copy(update={"workers": workers})
        spec = self.spec.model_copy(update={"serving": serving})
        return build_bento(
            spec,
            self.pointer.model_path,
            self.settings,
            index_folder=self.pointer.index_path,
            as_of=self.pointer.as_of,
        )


@dataclass(frozen=True)
class Rounds:
    """How long and how often each server is loaded, and with which requests."""

    count: int
    seconds: float
    route: str
    bodies: Path

    def load(self, servers: Mapping[str, Server], **how: Any) -> dict[str, dict[str, float]]:
        """Load on each server in turns; the median of each figure.

        Raises:
            ValueError: when an answer was wrong or degraded.
        """
        said: dict[str, list[dict[str, Any]]] = {name: [] for name in servers}
        for _ in range(self.count):
            for name, server in servers.items():
                asked = {"url": server.url + self.route, "bodies": str(self.bodies), "expect": '"scores":['}
                ran = child.run("benchmarks.speed.load:run", seconds=self.seconds, **(asked | how)).answer
                if wrong := ran.pop("wrong"):
                    raise ValueError(f"{name} gave {len(wrong)} wrong answers, first: {wrong[0]}")
                said[name].append(ran)
        return {name: {key: median(each[key] for each in runs) for key in runs[0]} for name, runs in said.items()}


def measure(quick: bool, work: Path) -> Iterator[Result]:
    """Latency at a fixed rate, throughput, what BentoML costs, memory, and two workers."""
    with TemporaryDirectory(prefix="serving-", dir=work) as scratch, ExitStack() as stack:
        shop = _shop(demo_settings(work, SMALL if quick else FULL), work, Path(scratch))
        rounds = Rounds(
            QUICK_ROUNDS if quick else ROUNDS,
            QUICK_SECONDS if quick else SECONDS,
            shop.spec.serving.route,
            shop.bodies,
        )
        one = shop.bento(workers=1)
        env = {**shop.env, "BENCH_BENTO": str(one.path)}
        floor = "benchmarks.speed.serving_floor"
        servers = {
            "ours": stack.enter_context(bentoml(shop.settings, one)),
            "bare": stack.enter_context(uvicorn(f"{floor}:without_bentoml", env, "--factory")),
            "floor": stack.enter_context(uvicorn(f"{floor}:scorer", env, "--factory")),
            "peer": stack.enter_context(uvicorn("benchmarks.peers.fastapi_feast:app", env)),
        }
        require_agreement(servers, rounds.route, shop.bodies.read_bytes().splitlines()[:COMPARED])
        yield from _one_worker(rounds, servers)
        stack.close()
        with bentoml(shop.settings, shop.bento(workers=2)) as two:
            throughput = rounds.load({"two": two}, connections=CONNECTIONS)["two"]["per_second"]
            scale = f"{CANDIDATES} candidates, {CONNECTIONS} connections, 2 workers beside the load generator"
            yield Result("serving: throughput", scale, throughput, unit="requests/s", peak_mb=two.megabytes)


def _one_worker(rounds: Rounds, servers: dict[str, Server]) -> Iterator[Result]:
    ours, what = servers["ours"], f"{CANDIDATES} candidates"
    rates = _figures(rounds.load(servers, connections=CONNECTIONS), "per_second")
    scale, held = (
        f"{what}, {CONNECTIONS} connections, 1 worker",
        {name: each.megabytes for name, each in servers.items()},
    )
    yield Result("serving: throughput", scale, **_three(rates), unit="requests/s", peak_mb=held["ours"])
    scale = f"{what}, 1 worker; floor: the same without it"
    yield Result("serving: throughput under BentoML", scale, rates["ours"], None, rates["bare"], "requests/s")
    for poisson, arrive in ((False, "evenly"), (True, "at random")):
        fast = {name: servers[name] for name in ("ours", "floor")}
        said = rounds.load(fast, rate=RATE, connections=WAITING, poisson=poisson)
        bearable = min(RATE, SUSTAINED * rates["peer"])
        said |= rounds.load({"peer": servers["peer"]}, rate=bearable, connections=WAITING, poisson=poisson)
        sustained = "" if bearable == RATE else f"; peer at {SUSTAINED:.0%} of its throughput"
        scale = f"{what}, {RATE:g} requests/s arriving {arrive}{sustained}"
        for figure in ("p50", "p99"):
            yield Result(f"serving: /recommend {figure}", scale, **_three(_figures(said, f"{figure}_ms")), unit="ms")
    empty = {name: servers[name] for name in ("ours", "bare")}
    said = Rounds(rounds.count, rounds.seconds / 2, "/livez", rounds.bodies).load(
        empty, connections=CONNECTIONS, bodies=None, expect=""
    )
    rates = _figures(said, "per_second")
    scale = "GET /livez; floor: the same without BentoML"
    yield Result("serving: empty answers under BentoML", scale, rates["ours"], None, rates["bare"], "requests/s")
    own = said["bare"]["cpu_seconds"] / said["bare"]["requests"] * 1e3
    yield Result("serving: load generator", "its own time per request", own, unit="ms")
    yield Result("serving: memory per worker", "PSS after the load", **_three(held), unit="MB", peak_mb=ours.megabytes)


def _figures(said: Mapping[str, Mapping[str, float]], figure: str) -> dict[str, float]:
    return {name: each[figure] for name, each in said.items()}


def _three(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: figures[name] for name in ("ours", "peer", "floor")}


def _shop(demo: Settings, work: Path, scratch: Path) -> Shop:
    """The demo's version, index and online store behind a pointer of their own; every customer asks the model."""
    spec = model_spec(MODEL)
    spec = spec.model_copy(update={"serving": spec.serving.model_copy(update={"holdback": 0.0, "exploration": 0.0})})
    pointer = require_pointer(pointer_path(demo, MODEL))
    settings = demo.model_copy(update={"home": scratch, "port": free_port()})
    write_pointer(pointer_path(settings, MODEL), pointer)
    feast = work / "feast" / demo.shop
    fill(demo, feast, pointer.as_of)
    bodies = scratch / "bodies.jsonl"
    bodies.write_text("\n".join(_bodies(RetrievalIndex.load(pointer.index_path))) + "\n")
    env = {
        "ML_ASSETS_HOME": str(scratch),
        "ML_ASSETS_SHOP": demo.shop,
        "BENCH_POINTER": str(pointer_path(settings, MODEL)),
        "BENCH_FEAST": str(feast),
        "BENCH_SERVICE": spec.feature_service,
    }
    return Shop(settings, spec, pointer, bodies, env)


def _bodies(index: RetrievalIndex) -> Iterator[str]:
    """Requests of customers drawn from all, each with products drawn from all."""
    rng = np.random.default_rng(7)
    for customer in rng.choice(index.customers, REQUESTS):
        candidates = rng.choice(index.products, CANDIDATES, replace=False)
        yield json.dumps({"customer": str(customer), "candidates": candidates.tolist()})
