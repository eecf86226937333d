"""Deploy a version: move the pointer, make sure a server of the right code runs, wait until it answers with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ml_assets.learning.spec import ModelSpec
from ml_assets.registry.pointer import make_pointer, pointer_path, read_pointer, verify_pointer, write_pointer
from ml_assets.registry.versions import load_version
from ml_assets.settings import Settings
from serving.build import BentoRef
from serving.process import start, wait_ready


@dataclass(frozen=True)
class Deployed:
    """What serves now, and where."""

    url: str
    version: str
    restarted: bool


def deploy(
    settings: Settings, spec: ModelSpec, bento: BentoRef, *, version: Path, index: Path, as_of: datetime
) -> Deployed:
    """Serve a version with an index as of a time; a running server takes it up without dropping a request.

    Deploying what is deployed already changes nothing, except that a server that ended is started again.

    Raises:
        CorruptedVersion, PointerError: when the version or the index is not what was published.
        ServerError: when the server cannot start, or does not take the version up.
    """
    verified = load_version(version)
    path = pointer_path(settings, spec.name)
    wanted = make_pointer(
        model_name=spec.name,
        model_version=verified.version,
        version_folder=version,
        index_folder=index,
        online_store=settings.online_store,
        as_of=as_of,
        deployed_at=datetime.now(UTC),
    )
    verify_pointer(wanted)
    current = read_pointer(path)
    if current is None or current.model_copy(update={"deployed_at": wanted.deployed_at}) != wanted:
        write_pointer(path, wanted)
        current = wanted
    handle = start(settings, bento)
    wait_ready(handle.url, verified.version, deployed_at=current.deployed_at)
    return Deployed(handle.url, verified.version, handle.started)
