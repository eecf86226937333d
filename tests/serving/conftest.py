"""The smallest real shop that can be served: an index, an online store, model versions, a bento, a server."""

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import lightgbm
import numpy as np
import pytest
from serving_shop import build_parts

from ml_assets.learning.spec import ModelSpec
from ml_assets.registry.pointer import Pointer, make_pointer, pointer_path, write_pointer
from ml_assets.registry.versions import VersionRef, publish_version
from ml_assets.settings import Settings
from serving.build import BentoRef, build_bento
from serving.process import ServerHandle, start, stop, wait_ready

AS_OF = datetime(2026, 3, 2)
SPEC = ModelSpec(
    name="ranker",
    description="Ranks products in tests.",
    spine="mart_recommendation_spine",
    feature_service="product_recommender",
)


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

    def build(self, version: VersionRef) -> BentoRef:
        return build_bento(SPEC, version.path, self.settings, index_folder=self.index_folder, as_of=AS_OF)

    def on_another_port(self) -> "Shop":
        return replace(self, settings=self.settings.model_copy(update={"port": free_port()}))


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Settings, tuple[str, ...]]:
    """Index and online store, built once; tests treat them as read-only."""
    home = tmp_path_factory.mktemp("parts")
    settings = Settings(home=home, shop="simulated")
    index_folder, features = build_parts(home, settings, AS_OF)
    return index_folder, settings, features


@pytest.fixture
def shop(parts: tuple[Path, Settings, tuple[str, ...]], tmp_path: Path) -> Shop:
    """A home of its own for this test, with copies of index and online store that it may damage."""
    return copy_of(parts, tmp_path)


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

    def metric(self, name: str) -> float:
        """The value of a line of /metrics; 0 when there is none."""
        lines = self.client.get("/metrics").text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f"{name} "))


@pytest.fixture(scope="session")
def server(parts: tuple[Path, Settings, tuple[str, ...]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One real BentoML server for all tests; each test points it to what it needs."""
    shop = copy_of(parts, tmp_path_factory.mktemp("served"))
    versions = tuple(shop.version(level) for level in range(4))
    shop.point(shop.pointer(versions[0]))
    handle = start(shop.settings, shop.build(versions[0]), timeout=90)
    with httpx.Client(base_url=handle.url, trust_env=False, timeout=20) as client:
        yield Served(shop, handle, client, versions)
    stop(shop.settings, SPEC.name)


@pytest.fixture
def ask(server: Served) -> Callable[..., httpx.Response]:
    """Post a request of the given fields."""
    return lambda **fields: server.client.post("/recommend", json=fields)
