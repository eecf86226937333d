"""What is checked: a model's champion with its training set and data, and a scratch deployment beside the real one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import SHOP, Settings
from ml_assets.datasets.provenance import Provenance
from ml_assets.datasets.split import Part
from ml_assets.datasets.training_set import MANIFEST, DatasetRef, load_rows
from ml_assets.registry.versions import VersionRef
from ml_assets.training.train import Fitted, fit

if TYPE_CHECKING:
    import httpx

ROWS = 20_000
"""Rows of the test part that are scored, at most."""
KNOWN = 200
"""Customers or newest events that the service is asked about."""


class NothingToCheckError(LookupError):
    """The model has no champion, or what it was made from is gone; the text says what to run."""


@dataclass
class Context:
    """A champion and what it stands on; what several items need is made once.

    `spec` is as it was when the version was trained (its gate and service as they are now), `settings` the deployment,
    which is only read, `scratch` a deployment of its own that takes what is written and is removed at the end.
    """

    spec: ModelSpec
    settings: Settings
    version: VersionRef
    dataset: DatasetRef
    scratch: Settings
    ends: ExitStack = field(default_factory=ExitStack)

    @cached_property
    def again(self) -> Fitted:
        """The champion trained once more, from its training set with its parameters; not published."""
        return fit(self.spec, self.dataset, self.version.params)

    @cached_property
    def rows(self) -> NDArray[np.float32]:
        """[n, F] rows of the test part, spread over it, with the version's features in its order."""
        x = load_rows(self.dataset, Part.TEST, self.version.features, self.spec).x
        return x[np.unique(np.linspace(0, len(x) - 1, min(len(x), ROWS)).astype(np.int64))]

    @cached_property
    def asked(self) -> list[dict[str, Any]]:
        """Requests about what is known: customers spread over all of them, or the newest events."""
        if self.spec.ranks:
            from ml_assets.storage.warehouse import some_customers

            return [{"customer": one, "k": self.spec.serving.k} for one in some_customers(self.settings, KNOWN)]
        from feature_repo.declared import file_of
        from ml_assets.datasets.labelled_set import newest_events

        keys = file_of(self.spec.feature_service).keys(self.spec.feature_service)
        return newest_events(self.spec, self.settings, keys, KNOWN, self.version.bounds)

    @cached_property
    def client(self) -> httpx.Client:
        """A server of its own on a free port, with the champion; it ends with the subject."""
        from ml_assets.conformance.server import own_server

        return self.ends.enter_context(own_server(self.spec, self.settings, self.version, self.scratch))

    @property
    def by_hand(self) -> bool:
        """Whether a person put the version back, rather than the gate let it through last."""
        from ml_assets.registry.promote import promotions

        chosen = [
            each for each in promotions(self.settings, self.spec.name) if each["event"] in {"promoted", "demoted"}
        ]
        return bool(chosen) and (chosen[-1]["event"] == "demoted" or chosen[-1]["version"] != self.version.version)

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """A folder for a while, aside."""
        self.scratch.home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.scratch.home) as made:
            yield Path(made)


@contextmanager
def open_subject(settings: Settings, spec: ModelSpec) -> Iterator[Context]:
    """The model's champion; whatever happens meanwhile, its scratch deployment and its server end with the block.

    Raises:
        NothingToCheckError: when there is no champion, or its training set is gone or altered.
        CorruptedVersionError: when the champion's files were altered.
    """
    version = _champion(settings, spec)
    dataset = _training_set(settings, spec, version)
    with tempfile.TemporaryDirectory(prefix=f"check-{spec.name}-") as home, ExitStack() as ends:
        ends.callback(settings.export)  # opening the scratch deployment's stores has put its addresses there
        scratch = Settings(home=Path(home), shop=settings.shop, threads=settings.threads, memory=settings.memory)
        yield Context(Provenance.of(version).spec_then(spec), settings, version, dataset, scratch, ends)


def _champion(settings: Settings, spec: ModelSpec) -> VersionRef:
    from ml_assets.registry.promote import champion
    from ml_assets.registry.release_journal import why_taken_back
    from ml_assets.release import choose

    sqlite = settings.mlflow_uri.removeprefix("sqlite:///")
    unborn = sqlite != settings.mlflow_uri and not Path(sqlite).exists()  # looking would make it
    found = None if unborn else champion(settings, spec)
    if found is None:
        raise NothingToCheckError(
            f"{spec.name} has no champion in {settings.shop_home}: {_remedy(spec)}, "
            "or name another deployment with SHOP=... and ML_ASSETS_HOME=..."
        )
    if why_taken_back(settings, spec.name, found.version):  # then it is nobody's champion
        return choose(settings, spec.name, found.path).version
    return found


def _training_set(settings: Settings, spec: ModelSpec, version: VersionRef) -> DatasetRef:
    dataset = DatasetRef(settings.model_home(spec.name) / "training_sets" / version.training_set)
    if not (dataset.path / MANIFEST).exists():
        raise NothingToCheckError(f"the champion's training set {dataset.path} is gone: {_remedy(spec)}")
    altered = dataset.altered()
    if altered:
        raise NothingToCheckError(
            f"{dataset.path}: {', '.join(altered)} altered since: remove it, then {_remedy(spec)}"
        )
    return dataset


def _remedy(spec: ModelSpec) -> str:
    """What makes a champion."""
    job = "train" if spec.source == SHOP else f"{spec.source}_train"
    return f"run `{'make demo' if spec.ranks else f'dg launch --job {job}'}`"
