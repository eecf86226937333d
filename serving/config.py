"""What is built into a bento: the model it serves, how, and the last good version to fall back to."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator

from ml_assets.learning.streaming import StreamingSpec
from ml_assets.registry.pointer import Pointer
from ml_assets.settings import Settings

BAKED = Path(__file__).resolve().parent.parent / "baked"
"""Folder inside the bento, beside the code; there is none in the project itself."""
CONFIG = "service.json"
OWN_PATHS = {"/feedback", "/readyz", "/livez", "/healthz", "/metrics"}


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
    keys: tuple[str, ...] = Field(default=(), description="of an event: join keys a request names")
    request: tuple[str, ...] = Field(default=(), description="of an event: numbers a request names")
    feature_service: str = "none"
    route: str = Field(default="/recommend", pattern=r"^/[a-z0-9_/-]+$")
    k: int = 10
    max_k: int = 100
    workers: int = 1
    exploration: float = Field(default=0.0, ge=0, le=0.5)
    holdback: float = Field(default=0.0, ge=0, le=0.5)
    feature_timeout_ms: float = Field(default=50.0, gt=0)
    streaming: StreamingSpec | None = None
    code: str = Field(default="", description="digest of everything that only a restart can change")
    baked: BakedVersion | None = None

    @field_validator("route")
    @classmethod
    def _free(cls, route: str) -> str:
        if route in OWN_PATHS:
            raise ValueError(f"{route} is the service's own path: choose another one")
        return route

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
