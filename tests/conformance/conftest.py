"""Champions of small training sets, and of the tiny shop with all that serves it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from tiny_labelled import labelled_spec, write_labelled_set
from tiny_training_set import small_spec, write_dataset

from ml_assets.config.model_spec import ModelSpec, Task
from ml_assets.config.settings import Settings
from ml_assets.conformance.context import Context
from ml_assets.datasets.provenance import Provenance
from ml_assets.datasets.training_set import DatasetRef
from ml_assets.registry.history import write_pointer
from ml_assets.registry.pointer import make_pointer, pointer_path
from ml_assets.registry.versions import publish_version
from ml_assets.training import booster as ranker
from ml_assets.training.train import fit

Make = Callable[..., Context]


def subject_of(spec: ModelSpec, settings: Settings, dataset: DatasetRef, scratch: Path, **changed: Any) -> Context:
    """A champion trained on a training set; `changed` parameters are not what the version says of itself."""
    params = ranker.parameters(spec, settings, {"min_data_in_leaf": 5})
    fitted = fit(spec, dataset, params | changed)
    version = publish_version(
        settings,
        spec.name,
        fitted.booster.model_to_string(),
        "run",
        features=dataset.manifest.features,
        params=params,
        training_set=dataset.fingerprint,
        metrics={"rounds": fitted.rounds, **fitted.described},
        created_from=Provenance.now(spec, dataset).model_dump(mode="json"),
    )
    return Context(spec, settings, version, dataset, Settings(home=scratch, shop=settings.shop, threads=1))


@pytest.fixture(scope="session")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[Task, tuple[ModelSpec, DatasetRef]]:
    """A training set of each task."""
    folder = tmp_path_factory.mktemp("sets")
    specs = {Task.RANKING: small_spec(), **{task: labelled_spec(task) for task in (Task.BINARY, Task.REGRESSION)}}
    made = {task: (write_dataset if spec.ranks else write_labelled_set) for task, spec in specs.items()}
    return {task: (spec, made[task](folder / task / "0123456789abcdef", spec)) for task, spec in specs.items()}


@pytest.fixture
def champion_of(sets: dict[Task, tuple[ModelSpec, DatasetRef]], tmp_path: Path) -> Make:
    """Make the champion of a task."""

    def make(task: Task, **changed: Any) -> Context:
        spec, dataset = sets[task]
        settings = Settings(home=tmp_path / "home", shop="simulated", threads=1)
        return subject_of(spec, settings, dataset, tmp_path / "scratch", **changed)

    return make


@pytest.fixture(params=list(Task), ids=str)
def champion(request: pytest.FixtureRequest, champion_of: Make) -> Context:
    """The champion of each task."""
    return champion_of(request.param)


@pytest.fixture(scope="session")
def served_home(tiny_shop: Settings, shop_spec: ModelSpec, built: DatasetRef, tmp_path_factory) -> Settings:
    """The tiny shop with an online store, an index and a deployed champion; copy it."""
    from feature_repo.online import materialize
    from feature_repo.store import open_store
    from ml_assets.retrieval.publish import publish_index
    from ml_assets.storage.warehouse import as_of

    home = tiny_shop.model_copy(update={"home": tmp_path_factory.mktemp("served")})
    shutil.copytree(tiny_shop.shop_home / "feast", home.shop_home / "feast")
    shutil.copy(tiny_shop.warehouse, home.warehouse)
    materialize(open_store(home), as_of(home))
    index = publish_index(shop_spec, home)
    version = subject_of(shop_spec, home, built, home.home / "none").version
    pointer = make_pointer(
        model_name=shop_spec.name, model_version=version.version, version_folder=version.path, index_folder=index.path,
        online_store=home.online_store, as_of=index.as_of, deployed_at=datetime.now(UTC),
    )  # fmt: skip
    write_pointer(pointer_path(home, shop_spec.name), pointer)
    return home


@pytest.fixture
def shop_champion(served_home: Settings, shop_spec: ModelSpec, built: DatasetRef, tmp_path: Path) -> Iterator[Context]:
    """The champion of the tiny shop, in a home of its own; its server ends with the test."""
    home = served_home.model_copy(update={"home": tmp_path / "shop"})
    shutil.copytree(served_home.home, home.home)
    subject = subject_of(shop_spec, home, built, tmp_path / "scratch")
    with subject.ends:
        yield subject


@pytest.fixture
def in_process(shop_champion: Context) -> Iterator[Context]:
    """The same, answered by the service's own code in this process: quick, and open to damage."""
    from ml_assets.conformance.server import champion_pointer
    from serving.config import ServiceConfig
    from serving.http.runtime import Runtime
    from serving.schemas import Refusal

    spec, scratch = shop_champion.spec, shop_champion.scratch
    write_pointer(
        pointer_path(scratch, spec.name),
        champion_pointer(shop_champion.spec, shop_champion.settings, shop_champion.version),
    )
    config = ServiceConfig(model_name=spec.name, feature_service=spec.feature_service, feature_timeout_ms=5000)
    runtime = Runtime(config, scratch)
    runtime.start()

    def answer(request: httpx.Request) -> httpx.Response:
        try:
            reply = runtime.recommend.handle(request.content)
        except Refusal as refusal:
            reply = runtime.recommend.refuse(refusal, 0.0)
        return httpx.Response(reply.status, content=reply.json())

    with httpx.Client(base_url="http://in-process", transport=httpx.MockTransport(answer)) as client:
        shop_champion.client = client
        yield shop_champion
    runtime.stop()
