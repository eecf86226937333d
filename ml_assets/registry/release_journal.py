"""What was taken back, by the release journal `<model_home>/releases.jsonl`; the running service reads it too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from ml_assets.config.settings import Settings
from ml_assets.storage import journal


class Event(StrEnum):
    """What a line tells."""

    BEGUN = "begun"
    ADVANCED = "advanced"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    HELD = "held"
    STOPPED = "stopped"


def release_journal(settings: Settings, name: str) -> Path:
    """Where the model's release journal lies."""
    return settings.model_home(name) / "releases.jsonl"


def blocking_line(lines: Iterable[Mapping[str, Any]], version: str) -> Mapping[str, Any] | None:
    """The line that keeps a version from serving again; a promotion lifts it, or a person who names the version."""
    found = None
    for line in lines:
        if line.get("version") == version and (line.get("blocks") or line.get("event") == Event.PROMOTED):
            found = line if line.get("blocks") else None
    return found


def why_taken_back(settings: Settings, name: str, version: str) -> str | None:
    """Why a version may not serve, by the journal as it stands; None when it may."""
    line = blocking_line(journal.readable(release_journal(settings, name))[0], version)
    said = line and ", ".join(str(line.get(part)) for part in ("event", "at", "reason"))
    return f"{version} was taken back ({said})" if said else None
