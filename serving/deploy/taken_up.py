"""Whether the running server has taken up what the files say: asked after the pointer was moved back."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import httpx

from ml_assets.config.settings import Settings
from ml_assets.registry.pointer import Pointer
from serving.deploy.process import status

PAUSE = 0.1
SECONDS = 10.0
"""A worker looks at the pointer several times a second; verifying and loading a version takes up to a few seconds."""


@dataclass(frozen=True)
class TakenUp:
    """What is so, in words; `ok` is False when a server runs and does not serve what the pointer names."""

    ok: bool
    text: str


def taken_up(settings: Settings, model: str, pointer: Pointer, seconds: float = SECONDS) -> TakenUp:
    """Ask the model's server, if one runs, until all its workers serve what the pointer names, without a release.

    Args:
        settings: the deployment.
        model: the model's name.
        pointer: what is to serve.
        seconds: how long to ask.
    """
    version = pointer.model_version
    handle = status(settings, model)
    if handle is None:
        return TakenUp(
            True, f"{model}: the pointer names version {version}; no server runs: it serves from the next start"
        )
    deadline = time.monotonic() + seconds
    while (problem := _problem(_asked(handle.url), pointer)) and time.monotonic() < deadline:
        time.sleep(PAUSE)
    if problem is None:
        return TakenUp(True, f"{model}: version {version} serves now, says every worker at {handle.url}")
    text = f"the server at {handle.url} has not taken it up within {seconds:g} s: {problem}; its log is {handle.log}"
    return TakenUp(False, f"{model}: the pointer names version {version}, but {text}")


def _asked(url: str) -> dict[str, Any] | None:
    try:
        said = httpx.get(f"{url}/readyz", timeout=2.0, trust_env=False).json()
    except (httpx.HTTPError, ValueError):
        return None
    return said if isinstance(said, dict) and isinstance(said.get("workers"), list) else None


def _problem(said: dict[str, Any] | None, pointer: Pointer) -> str | None:
    """Why not every worker serves what the pointer names and nothing beside it; None when each does."""
    if said is None:
        return "it does not answer"
    wanted = {"model_version": pointer.model_version, "deployed_at": pointer.deployed_at.isoformat()}
    for worker in said["workers"]:
        if not wanted.items() <= worker.items():
            serves = worker.get("model_version") or "nothing"
            return f"a worker serves {serves}: {worker.get('problem') or worker.get('reason') or 'it is still loading'}"
        if worker.get("release"):
            return f"a worker still serves the release of {worker['release'].get('model_version')} beside it"
    missing = said.get("workers_wanted", 1) - len(said["workers"])
    return f"{missing} workers do not answer" if missing > 0 else None
