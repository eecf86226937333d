"""The smallest real shop that can be served: an index, an online store, model versions, a bento, a server."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import lightgbm
import numpy as np
from log_lines import read_lines, wait_until

from ml_assets.config.model_spec import ModelSpec, ServingSpec
from ml_assets.config.settings import Settings
from ml_assets.registry.history import write_pointer
from ml_assets.registry.pointer import Pointer, make_pointer, pointer_path
from ml_assets.registry.release import Release, Stage, release_path, write_release
from ml_assets.registry.versions import VersionRef, publish_version
from ml_assets.storage.log_layout import log_folder
from serving.deploy.build import BentoRef, build_bento
from serving.deploy.process import ServerHandle, wait_ready

AS_OF = datetime(2026, 3, 2)
SPEC = ModelSpec(
    name="ranker",
    description="Ranks products in tests.",
    spine="mart_recommendation_spine",
    feature_service="product_recommender",
    serving=ServingSpec(holdback=0.1, feature_timeout_ms=5000),
)
HELD_BACK = "u13"
"""A customer whom the holdback takes; u1, u2 and u3 are none."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass(frozen=True)
class Shop:
    """What deployment finds: settings, an index, an online store, and versions to point to."""

    settings: Settings
    index_folder: Path
    features: tuple[str, ...]

    def version(self, level: int) -> VersionRef:
        """A version whose scores all lie within half a unit of `level`: they show which version made them."""
        rng = np.random.default_rng(level)
        rows = rng.normal(size=(400, len(self.features))).astype(np.float32)
        labels = level + 0.2 * np.tanh(rows[:, 0] + rows[:, 1] + rows[:, -1])
        params = {"objective": "regression", "num_leaves": 15, "verbosity": -1, "num_threads": 1, "seed": 7}
        names = [f"f{position}" for position in range(len(self.features))]
        booster = lightgbm.train(params, lightgbm.Dataset(rows, labels, feature_name=names), num_boost_round=20)
        return publish_version(
            self.settings,
            SPEC.name,
            booster.model_to_string(),
            run_id="run",
            features=self.features,
            params=params,
            training_set="none",
            metrics={"ndcg_10": 0.5},
            created_from={"level": level},
        )

    def pointer(self, version: VersionRef, deployment: int = 0, **changes: Any) -> Pointer:
        """A pointer to a version; `deployment` tells two of the same version apart."""
        made = make_pointer(
            model_name=SPEC.name,
            model_version=version.version,
            version_folder=version.path,
            index_folder=self.index_folder,
            online_store=self.settings.online_store,
            as_of=AS_OF,
            deployed_at=AS_OF + timedelta(seconds=deployment),
        )
        return made.model_copy(update=changes)

    def point(self, pointer: Pointer) -> None:
        write_pointer(pointer_path(self.settings, SPEC.name), pointer)

    def release(self, champion: VersionRef, challenger: VersionRef, stage: Stage, share: float = 0.0) -> Release:
        """A release of one version beside another; the service takes it up when it is written."""
        return Release(
            release_id=f"{challenger.version}-1",
            model_name=SPEC.name,
            champion_version=champion.version,
            model_version=challenger.version,
            model_path=challenger.path,
            model_sha256=challenger.sha256,
            stage=stage,
            share=share,
            started_at=AS_OF,
            changed_at=AS_OF,
        )

    @property
    def release_file(self) -> Path:
        return release_path(self.settings, SPEC.name)

    def build(self, version: VersionRef) -> BentoRef:
        return build_bento(SPEC, version.path, self.settings, index_folder=self.index_folder, as_of=AS_OF)

    def on_another_port(self) -> "Shop":
        return replace(self, settings=self.settings.model_copy(update={"port": free_port()}))


def copy_of(parts: tuple[Path, Settings, tuple[str, ...]], home: Path) -> Shop:
    import shutil

    index_folder, settings, features = parts
    own = Settings(home=home, shop="simulated", port=free_port())
    shutil.copytree(index_folder, home / "index")
    shutil.copytree(settings.online_store.parent, own.online_store.parent)
    return Shop(own, home / "index", features)


@dataclass(frozen=True)
class Served:
    """A running server and the versions it may be told to serve."""

    shop: Shop
    handle: ServerHandle
    client: httpx.Client
    versions: tuple[VersionRef, ...]

    def serve(self, level: int, deployment: int = 0) -> Pointer:
        """Point to a version and wait until it serves."""
        pointer = self.shop.pointer(self.versions[level], deployment)
        self.shop.point(pointer)
        wait_ready(self.handle.url, pointer.model_version, 20, pointer.deployed_at)
        return pointer

    @contextmanager
    def releasing(self, challenger: int, stage: Stage, share: float = 0.0, champion: int = 0) -> Iterator[Release]:
        """Serve a version and have another one released beside it, until the block ends."""
        self.serve(champion, deployment=800)
        release = self.shop.release(self.versions[champion], self.versions[challenger], stage, share)
        try:
            yield self.advance(release)
        finally:
            self.shop.release_file.unlink(missing_ok=True)
            wait_until(lambda: self.ready()["release"] is None)

    def advance(self, release: Release) -> Release:
        """Write a release and wait until the service has it."""
        write_release(self.shop.release_file, release)
        shown = {"model_version": release.model_version, "stage": release.stage.value, "share": release.share}
        wait_until(lambda: shown.items() <= (self.ready()["release"] or {}).items())
        return release

    def ready(self) -> dict[str, Any]:
        said: dict[str, Any] = self.client.get("/readyz").json()
        return said

    def lines(self, **wanted: Any) -> list[dict[str, Any]]:
        """The lines of the prediction log that have these fields."""
        folder = log_folder(self.shop.settings, SPEC.name)
        return [line for line in read_lines(folder) if wanted.items() <= line.items()]

    def line(self, **wanted: Any) -> dict[str, Any]:
        """The one line that has these fields, as soon as it is written."""
        (found,) = wait_until(lambda: self.lines(**wanted))
        return found

    def metric(self, name: str) -> float:
        """The value of a line of /metrics; 0 when there is none."""
        lines = self.client.get("/metrics").text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f"{name} "))
