"""What a rollback puts back: the version before, or the published one that a person names."""

from __future__ import annotations

from datetime import UTC, datetime

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.registry import back
from ml_assets.registry.pointer import Pointer, current_pointer, pointer_path
from ml_assets.registry.release_journal import why_taken_back
from ml_assets.registry.versions import DESCRIPTION, VersionRef, list_versions, load_version

SHOWN = 20
"""Versions that an error names, the newest ones."""


def named(settings: Settings, name: str, version: str) -> VersionRef:
    """The published version of this name, verified.

    Raises:
        LookupError: when there is none; it names those that there are, with the day each was published.
        CorruptedVersionError: when its files are not those it was published with.
        ValueError: when it is another model's.
    """
    folders = {path.name: path for path in list_versions(settings, name)}
    if version not in folders:
        raise LookupError(f"{name} has no version {version}; {published(settings, name) or 'none is published'}")
    found = load_version(folders[version])
    if found.name != name or found.version != version:
        raise ValueError(f"{found.path} is version {found.version} of {found.name}, not {version} of {name}")
    return found


def published(settings: Settings, name: str) -> str:
    """The published versions in words, newest first, with when; empty when there is none."""
    times = {}
    for folder in list_versions(settings, name):
        described = folder / DESCRIPTION
        times[folder.name] = (described if described.exists() else folder).stat().st_mtime
    newest = sorted(times, key=lambda version: times[version], reverse=True)
    said = ", ".join(
        f"{each} ({datetime.fromtimestamp(times[each], UTC):%Y-%m-%d %H:%M}"
        f"{', taken back' if why_taken_back(settings, name, each) else ''})"
        for each in newest[:SHOWN]
    )
    more = f" and {len(newest) - SHOWN} older ones" if len(newest) > SHOWN else ""
    return f"published, in UTC: {said}{more}" if said else ""


def move_back(settings: Settings, spec: ModelSpec, wanted: VersionRef | None, reason: str) -> Pointer:
    """Move the pointer to the wanted version, or to the one before; it stays when it names the wanted one already.

    Raises:
        LookupError: when there is no earlier version, or none is intact; it names the published ones.
        OSError: when not even the pointer's own file can be written.
    """
    path = pointer_path(settings, spec.name)
    if wanted is not None:
        current = current_pointer(path)
        model = wanted.version, wanted.sha256, wanted.path.resolve()
        if current and (current.model_version, current.model_sha256, current.model_path) == model:
            return current
        return back.put_back(path, wanted, reason)
    try:
        return back.roll_back(path, reason)
    except LookupError as error:
        others = published(settings, spec.name)
        raise LookupError(f"{error}, or put one back with --to VERSION; {others}" if others else str(error)) from error
