"""Deploy a version: rehearse it, move the pointer, see that a server of the right code answers, else put it back.

What does not answer aside never replaces what serves. What answered aside and then does not in its place is put back,
server included.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.registry.history import change_pointer, undo_deployment, write_pointer
from ml_assets.registry.pointer import (
    Pointer,
    current_pointer,
    make_pointer,
    pointer_path,
    require_pointer,
    sha256_folder,
    verify_pointer,
)
from ml_assets.registry.versions import load_version
from ml_assets.retrieval.index import RetrievalIndex
from serving.deploy.build import BentoRef, bento_of
from serving.deploy.probe import Probe, probe
from serving.deploy.process import ServerError, ServerHandle, start, status, wait_ready
from serving.deploy.questions import Ask
from serving.deploy.rehearsal import rehearse, rehearse_server
from serving.model import fallback, prior

logger = logging.getLogger("serving.deploy.deployment")

Change = Callable[[], Pointer]


class DeploymentRefused(RuntimeError):  # noqa: N818 - the answer, rather than a fault
    """What was to be deployed does not answer as it should; the text says why and what serves."""


@dataclass(frozen=True)
class Deployed:
    """What serves now, and where."""

    url: str
    version: str
    restarted: bool


def deploy(
    settings: Settings,
    spec: ModelSpec,
    bento: BentoRef,
    *,
    version: Path,
    index: Path | None,
    as_of: datetime,
    ask: Ask,
) -> Deployed:
    """Serve a version, a ranking with an index, as of a time; a running server takes it up without dropping a request.

    Deploying what is deployed already changes nothing, except that a server that ended is started again.

    Args:
        settings: the deployment.
        spec: the model.
        bento: the service.
        version: folder of the version.
        index: folder of a ranking's retrieval index.
        as_of: what counts as now.
        ask: what the version must answer.

    Raises:
        CorruptedVersionError, PointerError: when the version or the index is not what was published.
        DeploymentRefused: when it does not answer; what served before does.
        ServerError: when nothing served before and the server cannot start.
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
    replacement = _Replacement(settings, spec, bento, ask)
    if current is not None and _same(current, wanted):
        return replacement.keep(current)

    def to_wanted() -> Pointer:
        write_pointer(path, wanted)
        return wanted

    return replacement.replace(wanted, to_wanted)


def refresh(
    settings: Settings, spec: ModelSpec, bento: BentoRef, *, index: Path | None, as_of: datetime, ask: Ask
) -> Deployed:
    """Serve the version that serves from a newer index and online store; a release goes on beside it.

    Raises:
        PointerError: when nothing was deployed yet, or the files are not what was published.
        DeploymentRefused, ServerError: as `deploy`.
    """
    path = pointer_path(settings, spec.name)
    data = {
        "index_path": index.resolve() if index else None,
        "index_sha256": sha256_folder(index) if index else None,
        "online_store": settings.online_store,
        "as_of": as_of,
        "deployed_at": datetime.now(UTC),
    }

    def newer(served: Pointer) -> Pointer:
        wanted = served.model_copy(update=data)
        verify_pointer(wanted)
        return wanted

    current, replacement = require_pointer(path), _Replacement(settings, spec, bento, ask)
    wanted = newer(current)
    if _same(current, wanted):
        return replacement.keep(current)
    return replacement.replace(wanted, lambda: change_pointer(path, newer, "refreshed"))


def _same(current: Pointer, wanted: Pointer) -> bool:
    return current.model_copy(update={"deployed_at": wanted.deployed_at}) == wanted


@dataclass(frozen=True)
class _Replacement:
    """One deployment of a model: what it is made from, and what it must answer."""

    settings: Settings
    spec: ModelSpec
    bento: BentoRef
    ask: Ask

    def keep(self, pointer: Pointer) -> Deployed:
        """What is deployed already: start its server if it ended, or if its code is another one."""
        running = status(self.settings, self.spec.name)
        if running and running.code != self.bento.code:
            return self.replace(pointer, lambda: pointer)
        self._keep_last_resort(pointer, only_missing=True)
        return self._serve(pointer)

    def replace(self, wanted: Pointer, change: Change) -> Deployed:
        """Rehearse what is wanted, change the pointer, and put back what served if the server then does not answer."""
        before = current_pointer(pointer_path(self.settings, self.spec.name))
        running = status(self.settings, self.spec.name)
        self._rehearse(wanted, running, before)
        now = change()
        self._keep_last_resort(now)
        try:
            deployed = self._serve(now)
            self._require(self._probe(deployed.url, now), now)
        except (ServerError, DeploymentRefused) as error:
            if before is None:
                raise
            raise DeploymentRefused(f"{error}; {self._put_back(now, before, running)}") from error
        return deployed

    def _rehearse(self, wanted: Pointer, running: ServerHandle | None, before: Pointer | None) -> None:
        serving = f"{before.model_version} goes on serving" if before else "nothing serves yet"
        questions = self.ask(load_version(wanted.model_path))
        try:
            self._require(rehearse(self.bento, wanted, questions), wanted)
            if running and running.code != self.bento.code:
                route = self.spec.serving.route
                self._require(rehearse_server(self.settings, self.bento, wanted, route, questions), wanted)
        except Exception as error:  # whatever it is, it must not replace what serves
            logger.exception("%s: the rehearsal of %s failed", self.spec.name, wanted.model_version)
            text = f"version {wanted.model_version} was not deployed, it failed its rehearsal: {error}"
            raise DeploymentRefused(f"{text}; {serving}") from error

    def _serve(self, pointer: Pointer) -> Deployed:
        """Wait until a server serves what the pointer names."""
        handle = start(self.settings, self.bento)
        wait_ready(handle.url, pointer.model_version, deployed_at=pointer.deployed_at)
        return Deployed(handle.url, pointer.model_version, handle.started)

    def _probe(self, url: str, pointer: Pointer) -> Probe:
        questions = self.ask(load_version(pointer.model_path))
        return probe(url, self.spec.serving.route, questions, headers=self.settings.key_header)

    def _require(self, found: Probe, pointer: Pointer) -> None:
        if not found.ok:
            raise DeploymentRefused(f"version {pointer.model_version}: {found.text}")

    def _put_back(self, failed: Pointer, before: Pointer, running: ServerHandle | None) -> str:
        """What served serves again, by the server that it was served by; says so, or why not."""
        path = pointer_path(self.settings, self.spec.name)
        served = undo_deployment(path, failed, before, f"{failed.model_version} did not answer after it was deployed")
        self._keep_last_resort(served)
        bento = bento_of(self.settings, self.spec.name, running.tag) if running else self.bento
        try:
            handle = start(self.settings, bento)
            wait_ready(handle.url, served.model_version, deployed_at=served.deployed_at)
        except ServerError as error:
            return f"{served.model_version} was put back, and its server does not answer either: {error}"
        return f"{served.model_version} was put back and serves"

    def _keep_last_resort(self, pointer: Pointer, only_missing: bool = False) -> None:
        """Keep what answers when no model can: what is popular by the index, or the prior of the version."""
        path = fallback.popular_path(self.settings, self.spec.name)
        if only_missing and _kept(path, ranks=pointer.index_path is not None):
            return
        if pointer.index_path:
            fallback.save(fallback.from_index(RetrievalIndex.load(pointer.index_path)), path)
        else:
            prior.save(prior.Prior(load_version(pointer.model_path).metrics[prior.PRIOR]), path)


def _kept(path: Path, *, ranks: bool) -> bool:
    """Whether what answers when no model can is there, as it was saved."""
    try:
        (fallback if ranks else prior).load(path)
    except (FileNotFoundError, fallback.PopularError, prior.PriorError):
        return False
    return True
