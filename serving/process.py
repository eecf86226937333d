"""The server as a process of its own: started once, found again, stopped, and waited for.

State lives in `<model_home>/serving/`: `server.json` (which process serves what), `server.log`, and BentoML's
scratch folder `run/`. A server is recognised by process id and start time, so a reused id is never mistaken
for it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from ml_assets.files import write_text_atomically
from ml_assets.registry.lock import file_lock
from ml_assets.settings import PROJECT, Settings
from serving.build import BentoRef

PAUSE = 0.1
GRACE_SECONDS = 15.0
"""How long a server may take to end by itself."""


class ServerError(RuntimeError):
    """The server cannot be started or does not get ready; the text says why and what to do."""


class ServerHandle(BaseModel):
    """A running server: how to reach it and what it serves. `started`: by this call, not found running."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    model_name: str
    url: str
    pid: int
    created: float
    tag: str
    code: str
    replay: bool = False
    log: Path
    started: bool = False

    def alive(self) -> bool:
        """Whether that very process still runs."""
        try:
            process = psutil.Process(self.pid)
        except psutil.NoSuchProcess:
            return False
        return process.create_time() == self.created and _runs(process)


def start(settings: Settings, bento: BentoRef, timeout: float = 60.0) -> ServerHandle:
    """Serve a bento on `settings.host` and `settings.port`, detached; one of the same code and settings is left alone.

    Returns once the server answers. Which version it serves is the pointer's business, see `wait_ready`.

    Raises:
        ServerError: when the port belongs to another program, or the server ends or stays silent.
    """
    home = _home(settings, bento.model_name)
    with file_lock(home / ".server.lock"):
        running = status(settings, bento.model_name)
        url = f"http://{settings.host}:{settings.port}"
        wanted = (url, bento.code, settings.replay)
        if running and (running.url, running.code, running.replay) == wanted and _asked(url):
            return running
        _stop(settings, bento.model_name)
        _require_port(settings)
        handle = _launch(settings, bento, home, url)
        try:
            _wait_for_answer(handle, timeout)
        except ServerError:
            _stop(settings, bento.model_name)
            raise
        return handle


def stop(settings: Settings, model: str) -> bool:
    """Stop the model's server and whatever a killed one left behind; False when nothing ran."""
    with file_lock(_home(settings, model) / ".server.lock"):
        return _stop(settings, model)


def status(settings: Settings, model: str) -> ServerHandle | None:
    """The model's server, if it runs."""
    try:
        handle = ServerHandle.model_validate_json((_home(settings, model) / "server.json").read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
    return handle if handle.alive() else None


def wait_ready(url: str, version: str, timeout: float = 60.0, deployed_at: datetime | None = None) -> dict[str, Any]:
    """Wait until all workers serve a version (of the deployment named), and return what `/readyz` says.

    Raises:
        ServerError: when they do not within `timeout` seconds, with the server's last word.
    """
    deadline = time.monotonic() + timeout
    wanted = {"status": "ready", "model_version": version}
    if deployed_at is not None:
        wanted["deployed_at"] = deployed_at.isoformat()
    while True:
        said = _asked(url)
        workers = [each for each in said["workers"] if wanted.items() <= each.items()] if said else []
        if said and len(workers) == max(len(said["workers"]), said["workers_wanted"]):
            return said
        if time.monotonic() >= deadline:
            raise ServerError(f"{url} does not serve version {version} after {timeout:g} s; it says {said}")
        time.sleep(PAUSE)


def _home(settings: Settings, model: str) -> Path:
    return settings.model_home(model) / "serving"


def _asked(url: str) -> dict[str, Any] | None:
    """What `/readyz` answers, ready or not; None when nobody answers, or somebody else."""
    try:
        said = httpx.get(f"{url}/readyz", timeout=2.0, trust_env=False).json()
    except (httpx.HTTPError, ValueError):
        return None
    return said if isinstance(said, dict) and said.keys() >= {"status", "workers"} else None


def _require_port(settings: Settings) -> None:
    with socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            why = "is taken by another program: stop it" if taken else f"cannot be bound ({error})"
            raise ServerError(
                f"port {settings.port} on {settings.host} {why}, or choose another one with ML_ASSETS_PORT"
            ) from error


def _launch(settings: Settings, bento: BentoRef, home: Path, url: str) -> ServerHandle:
    home.mkdir(parents=True, exist_ok=True)
    command = [
        *(sys.executable, "-m", "serving", "run", str(bento.path)),
        *("--home", str(settings.home), "--shop", settings.shop),
        *("--host", settings.host, "--port", str(settings.port), "--scratch", str(home / "run")),
        *(["--replay"] if settings.replay else []),
    ]
    log = home / "server.log"
    secret = settings.redis_password.get_secret_value() if settings.redis_password else ""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env={**os.environ, "ML_ASSETS_REDIS_PASSWORD": secret},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # it outlives the run that starts it
        )
    handle = ServerHandle(
        model_name=bento.model_name,
        url=url,
        pid=process.pid,
        created=psutil.Process(process.pid).create_time(),
        tag=bento.tag,
        code=bento.code,
        replay=settings.replay,
        log=log,
        started=True,
    )
    write_text_atomically(home / "server.json", handle.model_dump_json(indent=2, exclude={"started"}))
    return handle


def _wait_for_answer(handle: ServerHandle, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while _asked(handle.url) is None:
        if not handle.alive() or time.monotonic() >= deadline:
            ended = "ended" if not handle.alive() else f"gave no answer within {timeout:g} s"
            raise ServerError(f"the server {ended}; the end of {handle.log}:\n{_tail(handle.log)}")
        time.sleep(PAUSE)


def _tail(log: Path, lines: int = 20) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def _stop(settings: Settings, model: str) -> bool:
    handle = status(settings, model)
    first = [psutil.Process(handle.pid)] if handle else []
    family = _family(first, settings.bentoml_home / "bentos" / model)
    _end(first)
    _end(family)
    (_home(settings, model) / "server.json").unlink(missing_ok=True)
    return bool(family)


def _family(first: Sequence[psutil.Process], bentos: Path) -> list[psutil.Process]:
    """The server's processes, and workers that outlived a killed server: known by the bento they run."""
    family = {process.pid: process for process in first}
    for parent in first:
        family.update((child.pid, child) for child in parent.children(recursive=True))
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if "_bentoml_impl.worker.service" in command and any(f"{bentos}/" in part for part in command):
            family[process.pid] = process
    return list(family.values())


def _runs(process: psutil.Process) -> bool:
    """Whether a process still works; one that ended but was not reaped by its parent yet does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _end(processes: Sequence[psutil.Process]) -> None:
    """Ask processes to end, and kill those that do not within the grace period."""
    for signal in (psutil.Process.terminate, psutil.Process.kill):
        left = [process for process in processes if _runs(process)]
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                signal(process)
        deadline = time.monotonic() + GRACE_SECONDS
        while any(_runs(process) for process in left) and time.monotonic() < deadline:
            time.sleep(PAUSE)
