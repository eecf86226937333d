"""The smallest real shop that can be served, as fixtures; what it is made of is in `served_shop`."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from served_shop import AS_OF, SPEC, Served, Shop, copy_of
from serving_shop import build_parts

from ml_assets.config.settings import Settings
from serving.deploy.process import start, stop


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


@pytest.fixture(scope="session")
def server(parts: tuple[Path, Settings, tuple[str, ...]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One real BentoML server for all tests; each test points it to what it needs."""
    shop = copy_of(parts, tmp_path_factory.mktemp("served"))
    shop = replace(shop, settings=shop.settings.model_copy(update={"replay": True}))
    versions = tuple(shop.version(level) for level in range(4))
    shop.point(shop.pointer(versions[0]))
    handle = start(shop.settings, shop.build(versions[0]), timeout=90)
    as_json = {"content-type": "application/json"}  # whatever bytes a test posts
    with httpx.Client(base_url=handle.url, headers=as_json, trust_env=False, timeout=20) as client:
        yield Served(shop, handle, client, versions)
    stop(shop.settings, SPEC.name)


@pytest.fixture
def ask(server: Served) -> Callable[..., httpx.Response]:
    """Post a request of the given fields."""
    return lambda **fields: server.client.post("/recommend", json=fields)
