"""A rehearsal: what is to be deployed answers real requests aside before it may replace what serves."""

from __future__ import annotations

import socket
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from ml_assets.config.settings import Settings
from ml_assets.registry.history import write_pointer
from ml_assets.registry.pointer import Pointer, pointer_path
from serving.config import ServiceConfig, load_config
from serving.deploy.build import BentoRef
from serving.deploy.probe import Probe, Questions, probe, probe_by
from serving.deploy.process import start, stop, wait_ready
from serving.model.exchange import RequestContext
from serving.model.kinds import kind_of
from serving.model.loader import load
from serving.model.router import Router, Serving
from serving.schemas import Refusal

LOCAL = "127.0.0.1"


def rehearse(bento: BentoRef, pointer: Pointer, questions: Questions) -> Probe:
    """Load what a pointer names in this process and answer with it as the service would.

    Raises:
        Exception: whatever `serving.model.loader.load` raises when it cannot serve.
    """
    config = load_config(bento.path / "src" / "baked").model_copy(update={"holdback": 0.0})
    return probe_by(_Answers(config, pointer).ask, questions)


def rehearse_server(settings: Settings, bento: BentoRef, pointer: Pointer, route: str, questions: Questions) -> Probe:
    """Start a server of the bento's code on a free port, ask it over HTTP, and stop it.

    Raises:
        ServerError: when it does not start or does not take the version up.
    """
    with server_aside(settings, bento, pointer) as url:
        return probe(url, route, questions, headers=settings.key_header)


@contextmanager
def server_aside(settings: Settings, bento: BentoRef, pointer: Pointer) -> Iterator[str]:
    """A server of a home of its own on a free port, reading the deployment's index and online store; yields its URL.

    What it logs goes to its own home, which is removed at the end.

    Raises:
        ServerError: when it does not start or does not take the version up.
    """
    name = bento.model_name
    with tempfile.TemporaryDirectory(prefix=f"aside-{name}-") as home:
        aside = settings_aside(settings, Path(home), pointer.online_store)
        write_pointer(pointer_path(aside, name), pointer, "rehearsal")
        try:
            handle = start(aside, bento)
            wait_ready(handle.url, pointer.model_version, deployed_at=pointer.deployed_at)
            yield handle.url
        finally:
            stop(aside, name)


def settings_aside(settings: Settings, home: Path, online_store: Path | str) -> Settings:
    """The deployment's settings with another home, on a free port of this machine alone, reading this online store."""
    here = {"host": LOCAL, "port": free_port(), "home": home}
    return settings.model_copy(update={**here, "online_store_address": online_store})


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as found:
        found.bind((LOCAL, 0))
        return int(found.getsockname()[1])


class _Answers:
    """A version that answers in this process, without log and metrics."""

    def __init__(self, config: ServiceConfig, pointer: Pointer) -> None:
        self._kind = kind_of(config)
        timeout = max(config.feature_timeout_ms, 1000.0)  # a cold read here is no reason to refuse
        loaded = load(pointer, config.feature_service, feature_timeout_ms=timeout)
        self._serving = Serving(loaded, popular=self._kind.last_resort(loaded))
        self._router = Router(config, under_way=lambda: False)

    def ask(self, body: dict[str, Any]) -> tuple[int, Any]:
        prediction_id = uuid.uuid4().hex
        try:
            request, k = self._kind.parse(orjson.dumps(body), self._serving.champion, replay=False)
            answered = self._router.answer(self._serving, request, k, int(prediction_id, 16))
        except Refusal as refusal:
            return refusal.status, refusal.body()
        asked = RequestContext(prediction_id, request, k, datetime.now(UTC))
        return 200, self._kind.body(asked, answered)
