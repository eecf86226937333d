"""Deploy a version: move the pointer, make sure a server of the right code runs, wait until it answers with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ml_assets.learning.spec import ModelSpec
from ml_assets.registry.pointer import (
    Pointer,
    change_pointer,
    current_pointer,
    make_pointer,
    pointer_path,
    require_pointer,
    sha256_folder,
    verify_pointer,
    write_pointer,
)
from ml_assets.registry.versions import load_version
from ml_assets.retrieval.index import RetrievalIndex
from ml_assets.settings import Settings
from serving import fallback, prior
from serving.build import BentoRef
from serving.process import start, wait_ready


@dataclass(frozen=True)
class Deployed:
    """What serves now, and where."""

    url: str
    version: str
    restarted: bool


def deploy(
    settings: Settings, spec: ModelSpec, bento: BentoRef, *, version: Path, index: Path | None, as_of: datetime
) -> Deployed:
    """Serve a version, a ranking with an index, as of a time; a running server takes it up without dropping a request.

    Deploying what is deployed already changes nothing, except that a server that ended is started again.

    Raises:
        CorruptedVersionError, PointerError: when the version or the index is not what was published.
        ServerError: when the server cannot start, or does not take the version up.
    """
    verified = load_version(version)
    path = pointer_path(settings, spec.name)
    current = current_pointer(path)
    wanted = make_pointer(
        model_name=spec.name,
        model_version=verified.version,
        version_folder=version,
        index_folder=index,
        online_store=settings.online_store,
        as_of=as_of,
        deployed_at=datetime.now(UTC),
    )
    if current is None or not _same(current, wanted):
        verify_pointer(wanted)
        write_pointer(path, wanted)
        return _serve(settings, bento, wanted)
    return _serve(settings, bento, current, moved=False)


def refresh(settings: Settings, spec: ModelSpec, bento: BentoRef, *, index: Path | None, as_of: datetime) -> Deployed:
    """Serve the version that serves from a newer index and online store; a release goes on beside it.

    Raises:
        PointerError: when nothing was deployed yet, or the files are not what was published.
        ServerError: as `deploy`.
    """
    path = pointer_path(settings, spec.name)
    data = {
        "index_path": index.resolve() if index else None,
        "index_sha256": sha256_folder(index) if index else None,
        "online_store": settings.online_store,
        "as_of": as_of,
    }

    def newer(served: Pointer) -> Pointer:
        wanted = served.model_copy(update={**data, "deployed_at": datetime.now(UTC)})
        verify_pointer(wanted)
        return wanted

    current = require_pointer(path)
    if _same(current, current.model_copy(update=data)):
        return _serve(settings, bento, current, moved=False)
    return _serve(settings, bento, change_pointer(path, newer, "refreshed"))


def _same(current: Pointer, wanted: Pointer) -> bool:
    return current.model_copy(update={"deployed_at": wanted.deployed_at}) == wanted


def _serve(settings: Settings, bento: BentoRef, pointer: Pointer, moved: bool = True) -> Deployed:
    """Keep what answers when no model can, and wait until a server serves what the pointer names."""
    popular = fallback.popular_path(settings, bento.model_name)
    if moved or not popular.exists():
        if pointer.index_path:
            fallback.save(fallback.from_index(RetrievalIndex.load(pointer.index_path)), popular)
        else:
            prior.save(prior.Prior(load_version(pointer.model_path).metrics[prior.PRIOR]), popular)
    handle = start(settings, bento)
    wait_ready(handle.url, pointer.model_version, deployed_at=pointer.deployed_at)
    return Deployed(handle.url, pointer.model_version, handle.started)
