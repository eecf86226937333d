"""Taking files away so that a kill leaves nothing half removed: renamed into one folder first, deleted there."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path

from ml_assets.config.settings import Settings
from ml_assets.storage.files import sync


def removed_home(settings: Settings) -> Path:
    """Where what is being removed lies; whatever is found there goes at the next removal."""
    return settings.shop_home / ".removed"


def fewer_beside(path: Path) -> Path:
    """Where a file without some of its rows is written before it takes the place of `path`."""
    return path.with_name(f".{path.name}.fewer.tmp")


def take_away(settings: Settings, paths: Iterable[Path]) -> None:
    """Rename files or folders out of their places, each in one step; `sweep` deletes them."""
    home = removed_home(settings)
    home.mkdir(parents=True, exist_ok=True)
    for path in paths:
        if path.is_symlink() or path.exists():
            path.rename(home / f"{uuid.uuid4().hex}-{path.name}")
            sync(path.parent)


def sweep(settings: Settings) -> None:
    """Delete what was taken away, by this process or by one that was killed."""
    for path in removed_home(settings).glob("*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; a link has none."""
    if path.is_symlink():
        return 0
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(each.stat().st_size for each in files if each.is_file() and not each.is_symlink())
