"""From a pointer to something that can score: verified by hash, fitted to its features, tried once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from feature_repo.reader import OnlineReader
from ml_assets.registry.pointer import Pointer, verify_pointer
from ml_assets.registry.versions import load_version
from ml_assets.retrieval.index import RetrievalIndex
from serving.schemas import RecommendRequest
from serving.scorer import FEATURES, score

if TYPE_CHECKING:
    import lightgbm

logger = logging.getLogger("serving.loader")

RETRIEVAL = "retrieval__"
CUSTOMER = "customer__"
Positions = NDArray[np.intp]


class LoadError(RuntimeError):
    """A version is intact but cannot serve; the text says what does not fit."""


class Reader(Protocol):
    """Reads the features of one customer and many products, see `feature_repo.reader.OnlineReader`."""

    @property
    def feature_names(self) -> Sequence[str]:
        """Names of the columns that `read` returns."""

    def read(
        self, customer_id: str, product_ids: Sequence[str], category_ids: Sequence[str], now: float
    ) -> NDArray[np.float64]:
        """Features [n, F], NaN where missing."""


class NoReader:
    """Stands in for an online store that is gone: every feature is missing."""

    def __init__(self, feature_names: Sequence[str]) -> None:
        self.feature_names = list(feature_names)

    def read(
        self, customer_id: str, product_ids: Sequence[str], category_ids: Sequence[str], now: float
    ) -> NDArray[np.float64]:
        """Refuse, so that the answer is marked as degraded."""
        raise FileNotFoundError("there is no online store")


@dataclass(frozen=True, slots=True)
class Plan:
    """Where each of the booster's columns comes from: positions in the source and in the booster's matrix."""

    retrieval_from: Positions
    retrieval_to: Positions
    reader_from: Positions
    reader_to: Positions
    customer: Positions


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """All that one answer needs, of one version; never changed after it was made."""

    pointer: Pointer
    booster: lightgbm.Booster
    features: tuple[str, ...]
    index: RetrievalIndex
    reader: Reader
    plan: Plan
    baked: bool = False


def load(pointer: Pointer, feature_service: str, previous: LoadedModel | None = None) -> LoadedModel:
    """Verify and load what a pointer names, and score one probe with it; an unchanged index is taken over.

    Raises:
        PointerError, CorruptedVersionError: when a file is missing or not what was deployed.
        LoadError: when the booster asks for features that nobody provides, or cannot score.
    """
    verify_pointer(pointer)
    same_index = previous is not None and previous.pointer.index_sha256 == pointer.index_sha256
    index = previous.index if previous and same_index else RetrievalIndex.load(pointer.index_path)
    return _assemble(pointer, index, OnlineReader(pointer.online_store, service=feature_service))


def load_baked(pointer: Pointer, feature_service: str) -> LoadedModel:
    """Load the version that was built into the bento; without an online store it serves from retrieval alone.

    Raises:
        Exception: as `load`.
    """
    reader: Reader | None = None
    try:
        reader = OnlineReader(pointer.online_store, service=feature_service)
    except Exception:
        logger.exception("no features from %s: answers are degraded", pointer.online_store)
    return _assemble(pointer, RetrievalIndex.load(pointer.index_path), reader, baked=True)


def _assemble(pointer: Pointer, index: RetrievalIndex, reader: Reader | None, baked: bool = False) -> LoadedModel:
    version = load_version(pointer.model_path)
    if version.version != pointer.model_version:
        raise LoadError(f"{pointer.model_path} holds version {version.version}, not {pointer.model_version}")
    booster = version.booster()
    if booster.num_feature() != len(version.features):
        raise LoadError(
            f"{version.path}: the booster has {booster.num_feature()} columns, model.json names {len(version.features)}"
        )
    if reader is None:
        reader = NoReader([name for name in version.features if not name.startswith(RETRIEVAL)])
    loaded = LoadedModel(
        pointer=pointer,
        booster=booster,
        features=version.features,
        index=index,
        reader=reader,
        plan=_plan(version.features, index.source_names, reader.feature_names),
        baked=baked,
    )
    _probe(loaded)
    return loaded


def _plan(features: tuple[str, ...], sources: Sequence[str], read: Sequence[str]) -> Plan:
    retrieval = {f"{RETRIEVAL}{source}": position for position, source in enumerate(sources)}
    reader = {name: position for position, name in enumerate(read)}
    missing = [name for name in features if name not in retrieval and name not in reader]
    if missing:
        raise LoadError(f"nothing provides the model's features {', '.join(missing[:5])} ({len(missing)} in all)")

    def positions(known: dict[str, int]) -> tuple[Positions, Positions]:
        pairs = [(known[name], to) for to, name in enumerate(features) if name in known]
        columns = np.array(pairs, dtype=np.intp).reshape(-1, 2)
        return columns[:, 0], columns[:, 1]

    retrieval_from, retrieval_to = positions(retrieval)
    reader_from, reader_to = positions(reader)
    customer = np.array([at for name, at in reader.items() if name.startswith(CUSTOMER)], dtype=np.intp)
    return Plan(retrieval_from, retrieval_to, reader_from, reader_to, customer)


def _probe(loaded: LoadedModel) -> None:
    """Score once: what cannot serve must fail here, and what can is warm when it takes over."""
    customer = next(iter(loaded.index.customers), "nobody")
    answer = score(loaded, RecommendRequest(customer=customer), k=1)
    if FEATURES in answer.degraded and not isinstance(loaded.reader, NoReader):
        raise LoadError(f"the online store {loaded.pointer.online_store} cannot be read")
    if not np.isfinite(answer.scores).all():
        raise LoadError(f"version {loaded.pointer.model_version} gives scores that are no numbers")
