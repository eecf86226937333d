"""A redis-server of the tests' own, on a free port of 127.0.0.1, that keeps nothing on disk."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

NEEDS_REDIS = "no redis-server on this machine (apt-get install redis-server)"


@contextmanager
def running_redis(folder: Path, *options: str, password: str | None = None) -> Iterator[str]:
    """Start one and give its address `redis://127.0.0.1:port`; skips the test where none is installed."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip(NEEDS_REDIS)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [program, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    if password:
        command += ["--requirepass", password]
    with (folder / "redis.log").open("wb") as log:
        process = subprocess.Popen([*command, *options], cwd=folder, stdout=log, stderr=log)
    try:
        with redis.Redis(port=port, password=password) as client:
            _wait(client, process)
        yield f"redis://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _wait(client: redis.Redis, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        try:
            client.ping()
            return
        except redis.RedisError:
            time.sleep(0.02)
    raise RuntimeError("redis-server does not answer")
