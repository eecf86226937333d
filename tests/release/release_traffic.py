"""A deployment small enough for a test, and what the service would log while a release is under way."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ml_assets.config.model_spec import ModelSpec, MonitoringSpec, QualitySpec, ReleaseSpec
from ml_assets.config.settings import Settings
from ml_assets.prediction_log import collect
from ml_assets.registry.history import write_pointer
from ml_assets.registry.pointer import Pointer, make_pointer, pointer_path, require_pointer
from ml_assets.registry.release import Arm, Release, Stage, read_release, release_path
from ml_assets.registry.versions import VersionRef, publish_version
from ml_assets.release import ledger
from ml_assets.storage.log_layout import log_folder

NAME = "ranker"
MIDNIGHT = datetime(2026, 3, 2)
SMALL = {"shadow_answers": 5, "steps": (0.2, 0.5), "step_customers": 20, "customers": 60, "margin": 0.5}


def small_spec(outcomes: str = "feedback", **release: Any) -> ModelSpec:
    return ModelSpec(
        name=NAME,
        description="d",
        spine="s",
        feature_service="f",
        monitoring=MonitoringSpec(quality=QualitySpec(outcomes=outcomes)),
        release=ReleaseSpec(**{**SMALL, **release}),
    )


@dataclass
class Shop:
    """Published versions, an index, an online store, and a pointer to one of the versions."""

    settings: Settings
    folder: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder = self.settings.model_home(NAME)
        self.path = pointer_path(self.settings, NAME)
        self.settings.online_store.parent.mkdir(parents=True)
        self.settings.online_store.write_bytes(b"sqlite")

    def version(self, text: str) -> VersionRef:
        return publish_version(
            self.settings, NAME, f"{text}\n", "run", features=("a",), params={}, training_set="t", metrics={},
            created_from={},
        )  # fmt: skip

    def index(self, text: str) -> Path:
        folder = self.folder / "indexes" / text
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "arrays").write_text(text)
        return folder

    def deploy(self, version: str, index: str = "monday", day: int = 0) -> Pointer:
        ref = self.version(version)
        pointer = make_pointer(
            model_name=NAME,
            model_version=ref.version,
            version_folder=ref.path,
            index_folder=self.index(index),
            online_store=self.settings.online_store,
            as_of=MIDNIGHT + timedelta(days=day),
            deployed_at=datetime.now(UTC),
        )
        write_pointer(self.path, pointer)
        return pointer

    @property
    def serves(self) -> str:
        """Text of the version that the pointer names."""
        return (require_pointer(self.path).model_path / "booster.txt").read_text().strip()

    @property
    def release(self) -> Release | None:
        return read_release(release_path(self.settings, NAME))

    @property
    def entries(self) -> list[dict[str, Any]]:
        return ledger.entries(self.settings, NAME)

    @property
    def events(self) -> list[str]:
        return [entry["event"] for entry in self.entries]


def answer(name: str, release: Release, customer: str, arm: Arm, at: datetime, **changes: Any) -> dict[str, Any]:
    """A line of the service's log: an answer of two products."""
    products = changes.pop("products", ["p1", "p2"])
    count = len(products)
    return {
        "kind": "prediction", "prediction_id": name, "time": MIDNIGHT.isoformat(), "logged_at": at.isoformat(),
        "as_of": MIDNIGHT.isoformat(), "model_version": "v", "index": "0" * 12, "arm": arm.value,
        "release_id": release.release_id, "customer": customer, "customer_known": True, "k": count, "session": [],
        "candidates": None, "ranked": 9, "products": products, "categories": ["c"] * count,
        "positions": list(range(1, count + 1)), "scores": [0.5] * count, "propensities": [1.0] * count,
        "sources": [["own"]] * count, "features_id": None, "features": [], "unknown_products": [], "degraded": [],
        "served_by": "test/1", "latency_ms": 3.0, **changes,
    }  # fmt: skip


def click(name: str) -> dict[str, Any]:
    time = MIDNIGHT.isoformat()
    return {
        "kind": "outcome", "prediction_id": name, "product": "p1", "event_type": "click", "time": time,
        "logged_at": time,
    }  # fmt: skip


def every(share: float, number: int) -> bool:
    """Whether the n-th of something is among the `share` of it, spread evenly."""
    return int((number + 1) * share) > int(number * share)


@dataclass
class Log:
    """The service's log, and its collection."""

    settings: Settings
    written: int = 0
    names: int = 0

    def write(self, *lines: dict[str, Any]) -> None:
        folder = log_folder(self.settings, NAME)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "20260302T000000000000-999999999.jsonl").open("ab") as opened:
            opened.writelines(json.dumps(line).encode() + b"\n" for line in lines)
        self.written += len(lines)
        collect(self.settings, NAME)

    def serve(self, release: Release, count: int, champion: float = 0.4, canary: float = 0.4) -> None:
        """Answer new customers once each; of them exactly the planned share is the canary's, and these shares click."""
        lines, seen = [], {Arm.CHAMPION: 0, Arm.CANARY: 0}
        for number in range(count):
            arm = Arm.CANARY if every(release.share, number) else Arm.CHAMPION
            name, at = f"{self.written}-{number}", release.changed_at + timedelta(seconds=2, milliseconds=number)
            customer = self._customer(release, arm)
            lines.append(answer(name, release, customer, arm, at))
            if release.stage is Stage.SHADOW:
                lines.append(answer(f"{name}-shadow", release, customer, Arm.SHADOW, at))
            if every(canary if arm is Arm.CANARY else champion, seen[arm]):
                lines.append(click(name))
            seen[arm] += 1
        self.write(*lines)

    def _customer(self, release: Release, arm: Arm) -> str:
        """The next name whose bucket lies in the arm."""
        while True:
            self.names += 1
            if (release.place(f"u{self.names}") < release.share) is (arm is Arm.CANARY):
                return f"u{self.names}"
