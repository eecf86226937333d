"""Servers of the serving benchmark: started one after the other, asked whether they agree, ended together."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import numpy as np
import psutil

from benchmarks.speed.home import free_port
from ml_assets.config.settings import PROJECT, Settings
from serving.deploy.build import BentoRef
from serving.deploy.process import start, stop

PATIENCE = 120.0
TOLERANCE = 1e-5
"""Relative: Feast's decayed values differ in their last bits, which float32 and the trees may show."""


@dataclass(frozen=True)
class Server:
    """A running server: its address and the processes that answer."""

    url: str
    workers: tuple[int, ...]

    @property
    def megabytes(self) -> float:
        """Memory of one worker, MiB: its own pages and its share of those it has in common (PSS)."""
        held = [psutil.Process(worker).memory_full_info().pss for worker in self.workers]
        return float(np.mean(held)) / 2**20


@contextmanager
def bentoml(settings: Settings, bento: BentoRef) -> Iterator[Server]:
    """The project's service as it is deployed."""
    handle = start(settings, bento, PATIENCE)
    try:
        children = psutil.Process(handle.pid).children(recursive=True)
        workers = tuple(child.pid for child in children if "_bentoml_impl.worker.service" in child.cmdline())
        yield Server(handle.url, workers)
    finally:
        stop(settings, bento.model_name)


@contextmanager
def uvicorn(app: str, env: Mapping[str, str], *options: str) -> Iterator[Server]:
    """An ASGI application under uvicorn with one worker, as quiet as ours.

    Raises:
        RuntimeError: when it ends, or does not answer in time.
    """
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", app, "--host", "127.0.0.1", "--port", str(port)]
    command += ["--no-access-log", "--log-level", "warning", *options]
    quiet = {"OMP_NUM_THREADS": "1", "ML_ASSETS_API_KEY": ""}
    process = subprocess.Popen(command, cwd=PROJECT, env={**os.environ, **quiet, **env})
    try:
        server = Server(f"http://127.0.0.1:{port}", (process.pid,))
        _wait(server.url, process)
        yield server
    finally:
        process.terminate()
        process.wait(20)


def require_agreement(servers: Mapping[str, Server], route: str, bodies: Sequence[bytes]) -> None:
    """Check that all servers give the same products and scores, and that none is degraded.

    Products whose scores are equal within the tolerance may change places.

    Raises:
        ValueError: when they differ.
    """
    for body in bodies:
        said = {name: _answer(server.url + route, body) for name, server in servers.items()}
        (first, wanted), *others = said.items()
        for name, answer in others:
            same = np.allclose(answer["scores"], wanted["scores"], rtol=TOLERANCE, atol=TOLERANCE)
            if not same or not _same_order(answer, wanted):
                raise ValueError(f"{name} and {first} differ on {body.decode()}:\n{answer}\n{wanted}")


def _answer(url: str, body: bytes) -> dict[str, list[float]]:
    headers = {"content-type": "application/json"}
    answer = httpx.post(url, content=body, headers=headers, trust_env=False, timeout=PATIENCE)
    said: dict[str, list[float]] = answer.raise_for_status().json()
    if said.get("degraded"):
        raise ValueError(f"{url} gave a degraded answer: {said}")
    return said


def _same_order(one: Mapping[str, list[float]], other: Mapping[str, list[float]]) -> bool:
    scores = np.array(one["scores"])
    differ = [at for at, pair in enumerate(zip(one["products"], other["products"], strict=True)) if len(set(pair)) > 1]
    return all(np.sum(np.isclose(scores, scores[at], rtol=TOLERANCE)) > 1 or at == len(scores) - 1 for at in differ)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        if process.poll() is not None or time.monotonic() >= deadline:
            raise RuntimeError(f"{process.args!r} does not answer")
        try:
            if httpx.get(f"{url}/livez", trust_env=False).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
