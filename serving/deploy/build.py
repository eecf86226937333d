"""Building the bento: the code that serves, and the version that is good now as the fallback.

The tag is a digest of what goes in, so building the same twice builds nothing. A bento holds only the modules
that serving imports, found by following the imports; nothing is installed or resolved while building.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

from ml_assets.config.imports import imported
from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import PROJECT, Settings
from ml_assets.config.sources import source_of
from ml_assets.datasets.provenance import join_keys_of, key_forms_of, spec_of
from ml_assets.registry.pointer import sha256_folder
from ml_assets.registry.versions import load_version
from ml_assets.storage.files import publish_folder, write_text_atomically
from serving.config import CONFIG, BakedVersion, ServiceConfig
from serving.deploy.environment import plain_environment

ENTRY = "serving.service"
STREAM = "serving.stream.__main__"
BUNDLER = "serving.deploy.bundle"
REQUIRES = (
    "bentoml", "hiredis", "httptools", "lightgbm", "numpy", "orjson", "prometheus-client", "pyarrow", "pydantic",
    "pyyaml", "redis", "scipy", "uvicorn", "uvloop",
)  # fmt: skip
"""What a container of the bento installs, in the versions it was built with; uvicorn takes httptools and uvloop."""
OF_THE_VERSION = {"keys", "forms", "request", "bounds", "feature_service"}
"""What a request names and which features are read belong to the version that serves: a new one needs no restart."""
REQUIRES_STREAM = ("confluent-kafka",)
"""What it installs beside them when it answers the requests of a topic."""


class BuildError(RuntimeError):
    """BentoML could not build; the text is what it said."""


@dataclass(frozen=True)
class BentoRef:
    """A built bento.

    `digest` changes with anything in it; `code` only with what needs a restart of the server to take effect.
    """

    model_name: str
    tag: str
    path: Path
    digest: str
    code: str
    workers: int


def build_bento(
    spec: ModelSpec, version_folder: Path, settings: Settings, *, index_folder: Path | None, as_of: datetime
) -> BentoRef:
    """Build the service of a model into `settings.bentoml_home`, or return it when it was built before.

    Args:
        spec: the model; its `serving` part and its feature service are built in.
        version_folder: the model version to build in as the fallback.
        settings: where BentoML's store is.
        index_folder: the retrieval index to build in beside it, of a ranking.
        as_of: what counts as now for the fallback.

    Raises:
        CorruptedVersionError: when the version's files are not what was published.
        BuildError: with BentoML's own words.
    """
    version = load_version(version_folder)
    trained = spec_of(version, spec)
    world = source_of(spec.source, settings)
    sources = sorted(imported(ENTRY, STREAM, BUNDLER).values())
    served = ServiceConfig(
        model_name=spec.name,
        task=trained.task.value,
        keys=version.keys or join_keys_of(trained),
        forms=version.key_forms or key_forms_of(trained),
        request=trained.request_features,
        bounds=version.bounds,
        feature_service=trained.feature_service,
        route=spec.serving.route,
        k=spec.serving.k,
        max_k=spec.serving.max_k,
        workers=spec.serving.workers,
        exploration=spec.serving.exploration,
        holdback=spec.serving.holdback,
        feature_timeout_ms=spec.serving.feature_timeout_ms,
        max_feature_age_hours=None if world.own_clock else spec.serving.max_feature_age_hours,
        last_day=world.calendar.end,
        streaming=spec.serving.streaming,
    )
    code = _digest([served.model_dump_json(exclude=OF_THE_VERSION), *_requirements(served)], sources)
    baked = BakedVersion(
        model_version=version.version,
        model_sha256=version.sha256,
        index_sha256=sha256_folder(index_folder) if index_folder else None,
        as_of=as_of,
    )
    config = served.model_copy(update={"code": code, "baked": baked})
    digest = _digest([config.model_dump_json()], [])
    path = settings.bentoml_home / "bentos" / spec.name / digest
    ref = BentoRef(spec.name, f"{spec.name}:{digest}", path, digest, code, spec.serving.workers)
    if not path.exists():
        with TemporaryDirectory(prefix="bento-") as scratch:
            context = Path(scratch) / "context"
            _stage(context, sources, config, version_folder, index_folder)
            _publish(ref, config, context, Path(scratch) / "store")
    write_text_atomically(path.parent / "latest", digest)
    return ref


def bento_of(settings: Settings, model: str, tag: str) -> BentoRef:
    """A bento that was built before, by its tag `<model>:<digest>`.

    Raises:
        FileNotFoundError: when it is gone.
    """
    digest = tag.rpartition(":")[2]
    path = settings.bentoml_home / "bentos" / model / digest
    config = ServiceConfig.model_validate_json((path / "src" / "baked" / CONFIG).read_bytes())
    return BentoRef(model, tag, path, digest, config.code, config.workers)


def _requirements(config: ServiceConfig) -> list[str]:
    names = REQUIRES + REQUIRES_STREAM if config.streaming else REQUIRES
    return [f"{name}=={metadata.version(name)}" for name in names]


def _digest(texts: list[str], files: list[Path]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode() + b"\0")
    for path in files:
        digest.update(path.relative_to(PROJECT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _stage(context: Path, sources: list[Path], config: ServiceConfig, version: Path, index: Path | None) -> None:
    for path in sources:
        target = context / path.relative_to(PROJECT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    shutil.copytree(version, context / "baked" / "version")
    if index:
        shutil.copytree(index, context / "baked" / "index")
    (context / "baked" / CONFIG).write_text(config.model_dump_json(indent=2))


def _publish(ref: BentoRef, config: ServiceConfig, context: Path, store: Path) -> None:
    """Build in a store of its own, in a process of its own, and move the finished bento into place."""
    options = {
        "service": f"{ENTRY}:Recommender",
        "name": ref.model_name,
        "version": ref.digest,
        "build_ctx": str(context),
        "include": ["*"],
        "python": {"packages": _requirements(config), "lock_packages": False},
        "labels": {"code": ref.code},
    }
    command = [sys.executable, "-m", BUNDLER, str(store), json.dumps(options)]
    # in the staged copy: what does not import from there would not import in the bento
    done = subprocess.run(command, cwd=context, env=plain_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"BentoML could not build {ref.tag}:\n{done.stderr[-4000:] or done.stdout[-4000:]}")
    with publish_folder(ref.path) as aside:
        shutil.copytree(store / "bentos" / ref.model_name / ref.digest, aside, dirs_exist_ok=True)
