"""The server as a process of its own: started once, found again, stopped, and waited for.

State lives in `<model_home>/serving/`: `server.json` (which process serves what) and `server.log`; BentoML's scratch
folder is kept off that disk (`serving.deploy.scratch`). A server is recognised by process id and start time, so
a reused id is never mistaken for it.
"""

from __future__ import annotations

import contextlib
import errno
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

from ml_assets.config.settings import PROJECT, Settings
from ml_assets.storage.file_lock import file_lock
from ml_assets.storage.files import write_text_atomically
from ml_assets.storage.log_layout import server_log
from ml_assets.storage.processes import birth, runs, still_runs
from serving.deploy.build import BentoRef
from serving.deploy.environment import serving_environment
from serving.deploy.scratch import make_scratch, remove_scratch
from serving.http.server_log import shorten

PAUSE = 0.1
GRACE_SECONDS = 15.0
"""How long a server may take to end by itself."""


RUNS = {"serving", "bentoml", "_bentoml_impl.worker.service"}
"""Modules that a server's processes run: before it is BentoML's, as BentoML's, and as a worker."""


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
    origins: tuple[str, ...] = ()
    log: Path
    scratch: Path | None = None
    started: bool = False

    def alive(self) -> bool:
        """Whether that very process still runs."""
        return runs(self.pid, self.created)


def start(settings: Settings, bento: BentoRef, timeout: float = 60.0) -> ServerHandle:
    """Serve a bento on `settings.host` and `settings.port`, detached; one of the same code and settings is left alone.

    Returns once the server answers. Which version it serves is the pointer's business, see `wait_ready`.

    Raises:
        ServerError: when the port belongs to another program, or the server ends or stays silent.
    """
    home = _home(settings, bento.model_name)
    with file_lock(home / ".server.lock"):
        running = status(settings, bento.model_name)
        url = settings.url
        wanted = (url, bento.code, settings.replay, settings.origins)
        if running and (running.url, running.code, running.replay, running.origins) == wanted and _asks_for(settings):
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
    handle = _last(settings, model)
    return handle if handle and handle.alive() else None


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


def _last(settings: Settings, model: str) -> ServerHandle | None:
    """The server that was started last, whether or not it runs."""
    try:
        return ServerHandle.model_validate_json((_home(settings, model) / "server.json").read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def _asked(url: str) -> dict[str, Any] | None:
    """What `/readyz` answers, ready or not; None when nobody answers, or somebody else."""
    try:
        said = httpx.get(f"{url}/readyz", timeout=2.0, trust_env=False).json()
    except (httpx.HTTPError, ValueError):
        return None
    return said if isinstance(said, dict) and said.keys() >= {"status", "workers"} else None


def _asks_for(settings: Settings) -> bool:
    """Whether the server answers, and asks for the key of these settings: no file says which it was started with."""
    try:
        ours, nobodys = (
            httpx.get(f"{settings.url}/metrics", headers=headers, timeout=2.0, trust_env=False).status_code
            for headers in (settings.key_header, {})
        )
    except httpx.HTTPError:
        return False
    return (ours, nobodys) == (200, 401 if settings.api_key else 200) and _asked(settings.url) is not None


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
    scratch = make_scratch()
    command = [sys.executable, "-m", "serving", "run", str(bento.path), "--scratch", str(scratch)]
    log = server_log(settings, bento.model_name)
    shorten(log)
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env=serving_environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # it outlives the run that starts it
        )
    handle = ServerHandle(
        model_name=bento.model_name,
        url=url,
        pid=process.pid,
        created=birth(psutil.Process(process.pid)),
        tag=bento.tag,
        code=bento.code,
        replay=settings.replay,
        origins=settings.origins,
        log=log,
        scratch=scratch,
        started=True,
    )
    try:
        write_text_atomically(home / "server.json", handle.model_dump_json(indent=2, exclude={"started"}))
    except OSError as error:  # a server that no file names could never be stopped
        _end(_family([psutil.Process(handle.pid)], bento.path))
        remove_scratch(scratch)
        raise ServerError(f"{home / 'server.json'} cannot be written ({error}): the server was not started") from error
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
    scratches = {found for process in family if (found := scratch_of(process))}
    _end(first)
    _end(family)
    last = _last(settings, model)
    for scratch in {*scratches, *([last.scratch] if last and last.scratch else [])}:
        remove_scratch(scratch)
    (_home(settings, model) / "server.json").unlink(missing_ok=True)
    return bool(family)


def _family(first: Sequence[psutil.Process], bentos: Path) -> list[psutil.Process]:
    """The server's processes, and those that no file names, known by the bento they run.

    Workers outlive a server that was killed; a server, whoever was killed when it had just started it.
    """
    family = {process.pid: process for process in first}
    for parent in first:
        family.update((child.pid, child) for child in parent.children(recursive=True))
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if RUNS.intersection(command) and any(f"{bentos}/" in part for part in command):
            family[process.pid] = process
    return list(family.values())


def scratch_of(process: psutil.Process) -> Path | None:
    """The scratch folder that a server has made, or was given."""
    try:
        command = process.cmdline()
        given = command[command.index("--scratch") + 1] if "--scratch" in command[:-1] else None
        found = given or process.environ().get("BENTOML_HOME")
    except psutil.Error:
        return None
    return Path(found) if found else None


def _end(processes: Sequence[psutil.Process]) -> None:
    """Ask processes to end, and kill those that do not within the grace period."""
    for signal in (psutil.Process.terminate, psutil.Process.kill):
        left = [process for process in processes if still_runs(process)]
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                signal(process)
        deadline = time.monotonic() + GRACE_SECONDS
        while any(still_runs(process) for process in left) and time.monotonic() < deadline:
            time.sleep(PAUSE)
