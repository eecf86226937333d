"""The release under way: which challenger gets which part of the traffic; one small file, replaced in one step.

The service follows it beside the pointer. It names a model only: index, online store and "now" are the
pointer's, so that champion and challenger answer from the same data. Without the file the champion has all
the traffic; removing it ends a release at once.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from ml_assets.config.settings import Settings
from ml_assets.storage.files import write_text_atomically

BUCKETS = 10_000


class Stage(StrEnum):
    """How far a release has come."""

    SHADOW = "shadow"
    CANARY = "canary"


STALE = "stale_features"
"""Degraded: the features are older than the model's YAML promises."""


class Arm(StrEnum):
    """Who made an answer."""

    CHAMPION = "champion"
    CANARY = "canary"
    SHADOW = "shadow"
    """Made and logged beside the champion's, never shown."""
    HOLDBACK = "holdback"
    """Popularity for a few customers: what the model is compared with online."""
    FALLBACK = "fallback"
    """Popularity because no model could answer."""


class Release(BaseModel):
    """A challenger on its way to becoming what serves."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), hide_input_in_errors=True)

    release_id: str = Field(description="names this attempt")
    salt: str | None = Field(
        default=None,
        repr=False,
        description="secret and random: what customers are split by; None, in older files: the release_id",
    )
    model_name: str
    champion_version: str = Field(description="the version that serves the others; stale when the pointer moved on")
    model_version: str = Field(description="the challenger")
    model_path: Path
    model_sha256: str = Field(description="SHA-256 of its booster.txt")
    stage: Stage
    share: float = Field(ge=0, le=1, description="share of customers the challenger answers (0 as a shadow)")
    started_at: datetime = Field(description="UTC")
    changed_at: datetime = Field(description="UTC; when stage or share last changed")

    def place(self, customer: str) -> float:
        """Where in [0, 1) a customer falls; below `share` they are the canary's. Nobody without the salt can tell."""
        return bucket(self.salt or self.release_id, customer)


def bucket(salt: str, customer: str) -> float:
    """Where in [0, 1) a customer falls: the same for the same salt, whatever else changes.

    A customer whose bucket is below a share stays in when the share grows.
    """
    digest = hashlib.blake2b(f"{salt}\0{customer}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % BUCKETS / BUCKETS


def release_path(settings: Settings, name: str) -> Path:
    """Where the model's release lies while one is under way."""
    return settings.model_home(name) / "serving" / "release.json"


def read_release(path: Path) -> Release | None:
    """The release under way, or None.

    Raises:
        pydantic.ValidationError: when the file is not a release; it names the wrong fields.
    """
    try:
        return Release.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None


def write_release(path: Path, release: Release) -> None:
    """Replace the file in one step."""
    write_text_atomically(path, release.model_dump_json(indent=2) + "\n")
