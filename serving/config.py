"""What is built into a bento: the model it serves, how, and the last good version to fall back to."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from ml_assets.config.keys import KeyForm
from ml_assets.config.model_config import Route
from ml_assets.config.numbers import Bounds
from ml_assets.config.settings import Settings
from ml_assets.config.streaming_config import StreamingSpec
from ml_assets.registry.pointer import Pointer

BAKED = Path(__file__).resolve().parent.parent / "baked"
"""Folder inside the bento, beside the code; there is none in the project itself."""
CONFIG = "service.json"


class BakedVersion(BaseModel):
    """The version that was good when the bento was built: `baked/version` and `baked/index`."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model_version: str
    model_sha256: str
    index_sha256: str | None = None
    as_of: datetime


class ServiceConfig(BaseModel):
    """How one model is served; a change of it needs a restart, a new model version does not."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model_name: str = "none"
    task: Literal["ranking", "binary", "regression"] = "ranking"
    keys: tuple[str, ...] = Field(default=(), description="join keys a request names while no version serves")
    request: tuple[str, ...] = Field(default=(), description="numbers a request names while no version serves")
    forms: dict[str, KeyForm] = Field(default={}, description="how join keys are written, of versions that do not say")
    bounds: dict[str, Bounds] = Field(default={}, description="what numbers may be while no version serves")
    feature_service: str = Field(default="none", description="of versions that do not say which they were trained on")
    route: Route = "/recommend"
    k: int = 10
    max_k: int = 100
    workers: int = 1
    exploration: float = Field(default=0.0, ge=0, le=0.5)
    holdback: float = Field(default=0.0, ge=0, le=0.5)
    feature_timeout_ms: float = Field(default=50.0, gt=0)
    max_feature_age_hours: float | None = Field(default=None, gt=0, description="none: as old as they are")
    last_day: date | None = Field(default=None, description="of the source's calendar: nothing newer is to come")
    streaming: StreamingSpec | None = None
    code: str = Field(default="", description="digest of everything that only a restart can change")
    baked: BakedVersion | None = None

    def stale(self, pointer: Pointer, now: float) -> bool:
        """Whether the features are older than promised; Unix seconds. What knows the last day there is never is."""
        if self.max_feature_age_hours is None or (self.last_day and pointer.as_of.date() > self.last_day):
            return False
        return now - pointer.now > 3600 * self.max_feature_age_hours

    @property
    def tag(self) -> str:
        """The bento this code runs from, as `<name>:<digest>`; outside of one the code's digest."""
        described = BAKED.parent.parent / "bento.yaml"
        if not described.is_file():
            return self.code or "source"
        said = yaml.safe_load(described.read_text())
        return f"{said['name']}:{said['version']}"

    def built_in(self, settings: Settings) -> Pointer | None:
        """A pointer to the built-in version, if there is one."""
        if self.baked is None:
            return None
        return Pointer(
            model_name=self.model_name,
            model_version=self.baked.model_version,
            model_path=BAKED / "version",
            model_sha256=self.baked.model_sha256,
            index_path=BAKED / "index" if self.baked.index_sha256 else None,
            index_sha256=self.baked.index_sha256,
            online_store=settings.online_store,
            as_of=self.baked.as_of,
            deployed_at=datetime(1970, 1, 1, tzinfo=UTC),
        )


def load_config(folder: Path = BAKED) -> ServiceConfig:
    """The configuration built into the bento this code runs from; defaults outside of one."""
    path = folder / CONFIG
    return ServiceConfig.model_validate_json(path.read_bytes()) if path.exists() else ServiceConfig()
