"""Going back: an earlier version, or the one that a person names, into the pointer again, by files only."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from ml_assets.registry.history import deployments, served_before, swap
from ml_assets.registry.pointer import Pointer, PointerError, current_pointer, verify_pointer
from ml_assets.registry.versions import CorruptedVersionError, VersionRef, load_version
from ml_assets.storage.file_lock import file_lock

DATA = {"index_path", "index_sha256", "online_store", "as_of"}
"""What a pointer names beside the model."""
BROKEN = (PointerError, CorruptedVersionError, FileNotFoundError)


def roll_back(path: Path, reason: str) -> Pointer:
    """Put the version back that served before the current one and return the new pointer.

    Index, online store and "now" stay the current ones. A version whose files are not what they were is passed
    over for the one before it; when nothing can serve with the current index, a deployment goes back as it was.
    Rolling back twice goes two versions back, never to and fro. Lines of the history that do not read are passed over,
    and what an altered one names goes back only if it is a published version, whole.

    Raises:
        LookupError: when there is no earlier version, or none is intact; it says what is wrong with each.
        OSError: when there is no room for a pointer at all.
    """
    with file_lock(path.with_name(".pointer.lock")):
        current, problems = current_pointer(path), dict[str, None]()
        for candidate in _earlier(path, current):
            try:
                whole = _whole(path, candidate)
            except BROKEN as error:
                problems[str(error)] = None
                continue
            if current and whole.model_version == current.model_version:
                continue  # an altered line means what serves now
            return swap(path, whole.model_copy(update={"deployed_at": datetime.now(UTC)}), reason, rollback=True)
        wrong = f" that is intact: {'; '.join(problems)}" if problems else ""
        raise LookupError(f"{path}: no earlier version to roll back to{wrong}; deploy a champion instead")


def put_back(path: Path, version: VersionRef, reason: str) -> Pointer:
    """Put this verified version back, whether or not it ever served, and return the new pointer.

    Index, online store and "now" stay the current ones; where those are damaged, the newest that are whole.

    Raises:
        LookupError: when nothing was ever deployed, or no index and online store is whole; it says what is wrong.
        OSError: when there is no room for a pointer at all.
    """
    with file_lock(path.with_name(".pointer.lock")):
        current, problems = current_pointer(path), dict[str, None]()
        for data in (*([current] if current else []), *(each.pointer for each in reversed(deployments(path)))):
            try:
                verify_pointer(wanted := _of(version, data))
            except PointerError as error:
                problems[str(error)] = None
                continue
            back = wanted.model_copy(update={"deployed_at": datetime.now(UTC)})
            return swap(path, back, reason, rollback=True, named=True)
        wrong = "; ".join(problems) or "neither a pointer nor a line of the history reads"
        raise LookupError(f"{path}: nothing to serve {version.version} with: {wrong}; materialize the deployment")


def _earlier(path: Path, current: Pointer | None) -> Iterator[Pointer]:
    """What a rollback tries, best first: other versions on the current data, then as they were."""
    newest = [
        each for each in reversed(served_before(path)) if not current or each.model_version != current.model_version
    ]
    if current is not None:
        data = current.model_dump(include={*DATA, "model_name", "deployed_at"})
        yield from dict.fromkeys(each.model_copy(update=data) for each in newest)
    yield from newest


def _whole(path: Path, pointer: Pointer) -> Pointer:
    """The pointer, verified; when its line does not name the version's files, those published under its version.

    Raises:
        PointerError, CorruptedVersionError, FileNotFoundError: when what it names is not whole.
    """
    try:
        verify_pointer(pointer)
        version = load_version(pointer.model_path)
        if version.version != pointer.model_version:
            raise PointerError(f"{pointer.model_path} holds version {version.version}, not {pointer.model_version}")
    except BROKEN:
        found = _published(path, pointer)
        if found is None:
            raise
        version, pointer = found, _of(found, pointer)
        verify_pointer(pointer)
    if pointer.model_name not in {None, version.name}:
        raise PointerError(f"{version.path} is a version of {version.name}, not of {pointer.model_name}")
    return pointer


def _published(path: Path, pointer: Pointer) -> VersionRef | None:
    """The version that a line means, by its name or by its folder, if it is published and whole."""
    home = path.parent.parent / "versions"
    for folder in (home / Path(pointer.model_version).name, home / pointer.model_path.name):
        try:
            version = load_version(folder)
        except (CorruptedVersionError, FileNotFoundError):
            continue
        if version.version == folder.name:
            return version
    return None


def _of(version: VersionRef, data: Pointer) -> Pointer:
    model = {"model_name": version.name, "model_version": version.version, "model_sha256": version.sha256}
    return data.model_copy(update={**model, "model_path": version.path.resolve()})
