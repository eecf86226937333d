"""Model versions: immutable folders with a booster in text form and where it came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_assets.config.keys import KeyForm
from ml_assets.config.numbers import Bounds
from ml_assets.config.settings import Settings
from ml_assets.storage.files import publish_folder, sha256_file, write_text_atomically

if TYPE_CHECKING:
    import lightgbm

BOOSTER = "booster.txt"
DESCRIPTION = "model.json"
SEAL = "model.json.sha256"
"""SHA-256 of the description: its parameters and metrics are in no address."""


class CorruptedVersionError(ValueError):
    """The files of a model version are not those it was published with."""


@dataclass(frozen=True)
class VersionRef:
    """A verified model version: where it is and what `model.json` says about it."""

    path: Path
    name: str
    version: str
    run_id: str
    features: tuple[str, ...]
    params: Mapping[str, Any]
    training_set: str
    metrics: Mapping[str, float]
    sha256: str
    created_from: Mapping[str, Any]

    @property
    def feature_service(self) -> str | None:
        """The feature service it was trained on; None where it was not recorded."""
        found = (self.created_from.get("spec") or {}).get("feature_service")
        return None if found is None else str(found)

    @property
    def keys(self) -> tuple[str, ...]:
        """The join keys a request for it names, of a binary or regression model; empty where not recorded."""
        return tuple(self.created_from.get("keys") or ())

    @property
    def key_forms(self) -> dict[str, KeyForm]:
        """How each of these keys is written; empty where not recorded."""
        return {name: KeyForm(**form) for name, form in (self.created_from.get("forms") or {}).items()}

    @property
    def bounds(self) -> dict[str, Bounds]:
        """What the numbers of a request for it may be; empty where not recorded."""
        return {name: Bounds(**said) for name, said in (self.created_from.get("bounds") or {}).items()}

    @property
    def booster_file(self) -> Path:
        """The booster in LightGBM's text form."""
        return self.path / BOOSTER

    def booster(self) -> lightgbm.Booster:
        """Load the booster (never unpickled: LightGBM parses its text)."""
        import lightgbm

        return lightgbm.Booster(model_file=str(self.booster_file))


def versions_home(settings: Settings, name: str) -> Path:
    """Folder of the model's version folders."""
    return settings.model_home(name) / "versions"


def version_id(booster: str, name: str, features: tuple[str, ...], created_from: Mapping[str, Any]) -> str:
    """First 12 hex of the SHA-256 over the booster's text and what it is served with."""
    said = json.dumps([name, list(features), created_from], sort_keys=True)
    return hashlib.sha256(f"{booster}\n{said}".encode()).hexdigest()[:12]


def publish_version(
    settings: Settings,
    name: str,
    booster: str,
    run_id: str,
    *,
    features: tuple[str, ...],
    params: Mapping[str, Any],
    training_set: str,
    metrics: Mapping[str, float],
    created_from: Mapping[str, Any],
) -> VersionRef:
    """Publish a version folder under its content address; one that exists is kept and returned.

    Returns:
        The published version. Its `run_id` is that of the run that published it first.

    Raises:
        CorruptedVersionError: when a folder of that address exists and was altered.
    """
    version = version_id(booster, name, features, created_from)
    path = versions_home(settings, name) / version
    if not path.exists():
        with publish_folder(path) as aside:
            (aside / BOOSTER).write_text(booster)
            description = {
                "name": name,
                "version": version,
                "run_id": run_id,
                "features": list(features),
                "params": dict(params),
                "training_set": training_set,
                "metrics": dict(metrics),
                "sha256": sha256_file(aside / BOOSTER),
                "created_from": dict(created_from),
            }
            (aside / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n")
            (aside / SEAL).write_text(sha256_file(aside / DESCRIPTION) + "\n")
    return load_version(path)


def load_version(path: Path, *, sealed: bool = True) -> VersionRef:
    """Read and verify a version folder; only who is about to seal one that has no seal asks for it with `sealed` off.

    Raises:
        FileNotFoundError: when there is no such version.
        CorruptedVersionError: when `model.json` does not read or has no seal or another one, the booster's SHA-256 is
            not the one it names, or the content is not what the version's address says.
    """
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: no such model version; train it, or name one that exists")
    try:
        described = json.loads((path / DESCRIPTION).read_text())
        ref = VersionRef(path=path, **{**described, "features": tuple(described["features"])})
        booster = ref.booster_file.read_text()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptedVersionError(f"{path}: unreadable model version ({error}); train again") from error
    found = sha256_file(ref.booster_file)
    if found != ref.sha256:
        raise CorruptedVersionError(
            f"{ref.booster_file}: SHA-256 is {found[:12]}, {DESCRIPTION} names {ref.sha256[:12]}; the file "
            "was altered after it was published. Remove the folder and train again."
        )
    seal = path / SEAL
    if sealed and not seal.is_file():
        raise CorruptedVersionError(
            f"{seal} is missing: nothing says that {DESCRIPTION} is what was published. Remove the folder and train "
            "again; or, when it was published before versions had a seal and you trust what it says of itself: "
            f"python -m ml_assets seal {ref.version} --model {ref.name}"
        )
    unsealed = seal.is_file() and seal.read_bytes().strip() != sha256_file(path / DESCRIPTION).encode()
    if unsealed or version_id(booster, ref.name, ref.features, ref.created_from) != ref.version:
        raise CorruptedVersionError(
            f"{path / DESCRIPTION}: its content is not what version {ref.version} was published with. Remove "
            "the folder and train again."
        )
    return ref


def seal_version(path: Path) -> VersionRef:
    """Seal a version from before there were seals: its description counts as published from now on.

    Booster, features and provenance are checked against the version's address; parameters and metrics cannot be.

    Raises:
        FileNotFoundError, CorruptedVersionError: as `load_version`; also when the folder is not the version's own.
    """
    ref = load_version(path, sealed=False)
    if ref.version != path.name:
        raise CorruptedVersionError(f"{path} holds version {ref.version}: it is not the folder of that version")
    if not (path / SEAL).is_file():
        write_text_atomically(path / SEAL, sha256_file(path / DESCRIPTION) + "\n")
    return load_version(path)


def list_versions(settings: Settings, name: str) -> list[Path]:
    """The folders of all published versions, by name."""
    home = versions_home(settings, name)
    return sorted(path for path in home.glob("*") if path.is_dir() and not path.name.startswith("."))
