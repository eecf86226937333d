"""A server of the suite's own: the deployment's Bento with the champion, on a free port, stopped whatever happens."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ml_assets.registry.pointer import Pointer, make_pointer, pointer_path, require_pointer, write_pointer
from serving.build import BentoRef, build_bento
from serving.config import CONFIG, load_config
from serving.process import start, stop, wait_ready

if TYPE_CHECKING:
    import httpx

    from ml_assets.conformance.subject import Subject

TIMEOUT = 10.0
"""Seconds an answer may take before it counts as none."""


@contextmanager
def own_server(subject: Subject) -> Iterator[httpx.Client]:
    """Serve the champion from the scratch deployment, reading the real index and online store; yields a client.

    Raises:
        PointerError: when the model was never deployed.
        ServerError, BuildError: when it cannot be served; the text says why.
    """
    import httpx

    name, real = subject.spec.name, subject.settings
    scratch = subject.scratch.model_copy(
        update={"port": _free_port(real.host), "host": real.host, "redis_password": real.redis_password}
    )
    pointer = champion_pointer(subject)
    write_pointer(pointer_path(scratch, name), pointer, "check-model")
    try:
        handle = start(scratch, _bento(subject, pointer))
        wait_ready(handle.url, pointer.model_version, deployed_at=pointer.deployed_at)
        with httpx.Client(base_url=handle.url, timeout=TIMEOUT, trust_env=False) as client:
            yield client
    finally:
        stop(scratch, name)


def champion_pointer(subject: Subject) -> Pointer:
    """The deployment's pointer, to the champion: its index and its "now"."""
    deployed = require_pointer(pointer_path(subject.settings, subject.spec.name))
    indexes = subject.settings.model_home(subject.spec.name) / "indexes"
    return make_pointer(
        model_name=subject.spec.name,
        model_version=subject.version.version,
        version_folder=subject.version.path,
        index_folder=indexes / deployed.index_path.name if deployed.index_path else None,
        online_store=subject.settings.online_store,
        as_of=deployed.as_of,
        deployed_at=datetime.now(UTC),
    )


def _bento(subject: Subject, pointer: Pointer) -> BentoRef:
    """The newest Bento of the deployment; where there is none, one built aside."""
    name = subject.spec.name
    home = subject.settings.bentoml_home / "bentos" / name
    if not (home / "latest").is_file():
        index, as_of = pointer.index_path, pointer.as_of
        return build_bento(subject.spec, subject.version.path, subject.scratch, index_folder=index, as_of=as_of)
    digest = (home / "latest").read_text().strip()
    config = load_config(next((home / digest).rglob(CONFIG)).parent)
    return BentoRef(name, f"{name}:{digest}", home / digest, digest, config.code, config.workers)


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
