"""A server of the suite's own: the deployment's Bento with the champion, on a free port, stopped whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.registry.pointer import Pointer, make_pointer, pointer_path, require_pointer
from ml_assets.registry.versions import VersionRef
from serving.deploy.build import BentoRef, bento_of, build_bento
from serving.deploy.rehearsal import server_aside

if TYPE_CHECKING:
    import httpx

TIMEOUT = 10.0
"""Seconds an answer may take before it counts as none."""


@contextmanager
def own_server(spec: ModelSpec, settings: Settings, version: VersionRef, scratch: Settings) -> Iterator[httpx.Client]:
    """Serve the champion from the scratch deployment, reading the real index and online store; yields a client.

    Raises:
        PointerError: when the model was never deployed.
        ServerError, BuildError: when it cannot be served; the text says why.
    """
    import httpx

    pointer = champion_pointer(spec, settings, version)
    told = {"content-type": "application/json", **settings.key_header}
    with (
        server_aside(settings, _bento(spec, settings, version, scratch, pointer), pointer) as url,
        httpx.Client(base_url=url, headers=told, timeout=TIMEOUT, trust_env=False) as client,
    ):
        yield client


def champion_pointer(spec: ModelSpec, settings: Settings, version: VersionRef) -> Pointer:
    """The deployment's pointer, to the champion: its index and its "now"."""
    deployed = require_pointer(pointer_path(settings, spec.name))
    indexes = settings.model_home(spec.name) / "indexes"
    return make_pointer(
        model_name=spec.name,
        model_version=version.version,
        version_folder=version.path,
        index_folder=indexes / deployed.index_path.name if deployed.index_path else None,
        online_store=settings.online_store,
        as_of=deployed.as_of,
        deployed_at=datetime.now(UTC),
    )


def _bento(spec: ModelSpec, settings: Settings, version: VersionRef, scratch: Settings, pointer: Pointer) -> BentoRef:
    """The newest Bento of the deployment; where there is none, one built aside."""
    name = spec.name
    home = settings.bentoml_home / "bentos" / name
    if not (home / "latest").is_file():
        index, as_of = pointer.index_path, pointer.as_of
        return build_bento(spec, version.path, scratch, index_folder=index, as_of=as_of)
    return bento_of(settings, name, (home / "latest").read_text().strip())
