"""The pointer that the running service follows: one small file, replaced in one step.

Rolling back is writing an old version into it again, which needs neither the registry nor a network. The hashes
in it are what the service checks before it takes anything up.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ml_assets.config.settings import Settings
from ml_assets.config.store_address import StoreAddress
from ml_assets.registry.versions import BOOSTER
from ml_assets.storage.files import sha256_file


class PointerError(ValueError):
    """The pointer, or what it points to, cannot be served; the text says which file and why."""


class Pointer(BaseModel):
    """What serves: a model version, a ranking's retrieval index and an online store, by path and content hash."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model_name: str | None = Field(default=None, description="the model's name in its spec")
    model_version: str = Field(description="the version that answers name")
    model_path: Path = Field(description="folder of the version: booster.txt and model.json")
    model_sha256: str = Field(description="SHA-256 of booster.txt")
    index_path: Path | None = Field(default=None, description="folder of the retrieval index, of a ranking")
    index_sha256: str | None = Field(default=None, description="`sha256_folder` of it")
    online_store: StoreAddress = Field(description="the online store: its sqlite file, or redis://host:port/db")
    as_of: datetime = Field(description="UTC midnight that counts as now, see `now`")
    deployed_at: datetime = Field(description="UTC time of the deployment")
    unnoted: tuple[str, ...] = Field(default=(), description="lines that the history lacks: the disk was full")

    @property
    def booster(self) -> Path:
        """The booster's text file."""
        return self.model_path / BOOSTER

    @property
    def index(self) -> str | None:
        """The index's short name."""
        return self.index_sha256[:12] if self.index_sha256 else None

    @property
    def now(self) -> float:
        """`as_of` in Unix seconds; a time without a zone is UTC."""
        as_of = self.as_of if self.as_of.tzinfo else self.as_of.replace(tzinfo=UTC)
        return as_of.timestamp()


def make_pointer(
    *,
    model_name: str,
    model_version: str,
    version_folder: Path,
    index_folder: Path | None,
    online_store: Path | str,
    as_of: datetime,
    deployed_at: datetime,
) -> Pointer:
    """Point to a version, an index and an online store, hashing the files as they are now.

    Raises:
        PointerError: when the model or the index is missing.
    """
    if not (version_folder / BOOSTER).is_file():
        raise PointerError(f"no model file {version_folder / BOOSTER}: train it, or choose another version")
    if index_folder is not None and not index_folder.is_dir():
        raise PointerError(f"no retrieval index at {index_folder}: build it first")
    return Pointer(
        model_name=model_name,
        model_version=model_version,
        model_path=version_folder.resolve(),
        model_sha256=sha256_file(version_folder / BOOSTER),
        index_path=index_folder.resolve() if index_folder else None,
        index_sha256=sha256_folder(index_folder) if index_folder else None,
        online_store=online_store,
        as_of=as_of,
        deployed_at=deployed_at,
    )


def pointer_path(settings: Settings, name: str) -> Path:
    """Where the model's pointer lies."""
    return settings.model_home(name) / "serving" / "pointer.json"


def read_pointer(path: Path) -> Pointer | None:
    """The current pointer, or None when nothing was deployed yet.

    Raises:
        pydantic.ValidationError: when the file is not a pointer; it names the wrong fields.
    """
    return Pointer.model_validate_json(path.read_text()) if path.exists() else None


def require_pointer(path: Path) -> Pointer:
    """The pointer at `path`, for whom there must be one.

    Raises:
        PointerError: when it is missing, no JSON, or lacks or misspells a key; the text names each.
    """
    try:
        return Pointer.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise PointerError(f"no pointer at {path}: nothing has been deployed yet") from None
    except OSError as error:
        raise PointerError(f"cannot read the pointer at {path}: {error}") from error
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'file'}: {problem['msg']}" for problem in error.errors()
        )
        raise PointerError(f"the pointer at {path} is not usable: {problems}") from error


def verify_pointer(pointer: Pointer) -> None:
    """Check that everything the pointer names exists and has the hash it had when it was deployed.

    Raises:
        PointerError: naming the first file that is missing or differs, with the expected and the found hash.
    """
    if not pointer.booster.is_file():
        raise PointerError(f"no model file {pointer.booster} (version {pointer.model_version})")
    _same("model file", pointer.booster, pointer.model_sha256, sha256_file(pointer.booster))
    if pointer.index_path is not None:
        if not pointer.index_path.is_dir():
            raise PointerError(f"no retrieval index at {pointer.index_path}")
        _same("retrieval index", pointer.index_path, pointer.index_sha256 or "", sha256_folder(pointer.index_path))
    if isinstance(pointer.online_store, Path) and not pointer.online_store.is_file():
        raise PointerError(f"no online store at {pointer.online_store}: materialize the features")


def _same(what: str, path: Path, expected: str, found: str) -> None:
    if expected != found:
        raise PointerError(
            f"the {what} {path} is not what was deployed: expected sha256 {expected[:12]}…, "
            f"found {found[:12]}…; restore it or deploy again"
        )


def current_pointer(path: Path) -> Pointer | None:
    """The pointer at `path`; None when there is none, or it is broken and so serves nothing new."""
    try:
        return read_pointer(path)
    except (ValidationError, OSError, UnicodeDecodeError):
        return None


def sha256_folder(path: Path) -> str:
    """Hex SHA-256 over the names and contents of a folder's files, whatever order the disk lists them in."""
    digest = hashlib.sha256()
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        digest.update(f"{file.relative_to(path).as_posix()}\0{sha256_file(file)}\n".encode())
    return digest.hexdigest()
