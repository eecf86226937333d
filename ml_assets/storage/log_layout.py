"""Where a model's server logs: its answers in segments, and what it prints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ml_assets.config.settings import Settings


@dataclass(frozen=True)
class Rotation:
    """When a segment of the prediction log is closed: by size in bytes, or by age in seconds."""

    max_bytes: int = 64 * 1024 * 1024
    max_seconds: float = 300.0


def log_folder(settings: Settings, model: str) -> Path:
    """Where a model's answers are logged."""
    return settings.model_home(model) / "serving" / "predictions"


def server_log(settings: Settings, model: str) -> Path:
    """Where a model's server writes what it prints."""
    return settings.model_home(model) / "serving" / "server.log"
