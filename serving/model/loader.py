"""From a pointer to something that can score: verified by hash, fitted to its features, tried once."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from feature_repo.reader import open_reader
from ml_assets.registry.history import served_before
from ml_assets.registry.pointer import Pointer, verify_pointer
from ml_assets.registry.release import Release
from ml_assets.registry.versions import VersionRef, load_version
from ml_assets.retrieval.index import RetrievalIndex
from serving.model.breaker import Breaker
from serving.model.events import REQUEST, blank, predict
from serving.model.features import GuardedReader, Reader, Store
from serving.model.loaded import LoadedModel, LoadError, Plan, Positions
from serving.model.prior import PRIOR
from serving.model.scorer import FEATURES, score
from serving.schemas import RecommendRequest

if TYPE_CHECKING:
    pass

logger = logging.getLogger("serving.model.loader")

RETRIEVAL = "retrieval__"
CUSTOMER = "customer__"
TIMEOUT_MS = 50.0
PROBE_SECONDS = 5.0
"""How long the probe may wait for features: a cold disk is no reason to refuse a version."""


def load(
    pointer: Pointer,
    feature_service: str,
    previous: LoadedModel | None = None,
    *,
    feature_timeout_ms: float = TIMEOUT_MS,
) -> LoadedModel:
    """Verify and load what a pointer names, and score one probe with it.

    Its features are those of the feature service that the version was trained on; `feature_service` is for versions
    that do not say. Of `previous`, an unchanged index is taken over, and the breaker of an unchanged online store.
    That such a store cannot be read now is no reason against the version: what serves cannot read it either.

    Raises:
        PointerError, CorruptedVersionError: when a file is missing or not what was deployed.
        OnlineStoreError: when the online store cannot be opened.
        LoadError: when the booster asks for features that nobody provides, or cannot score.
    """
    verify_pointer(pointer)
    version = load_version(pointer.model_path)
    same_index = previous is not None and previous.pointer.index_sha256 == pointer.index_sha256
    index = previous.index if previous and same_index else _index(pointer)
    store = _store(pointer, version.feature_service or feature_service, feature_timeout_ms)
    serving = previous.reader if previous else None
    if isinstance(serving, GuardedReader) and serving.store.address == store.address:
        return _guarded(pointer, version, index, replace(store, breaker=serving.store.breaker), serving.feature_names)
    return _guarded(pointer, version, index, store)


def load_baked(pointer: Pointer, feature_service: str, *, feature_timeout_ms: float = TIMEOUT_MS) -> LoadedModel:
    """Load the version that was built into the bento; without an online store it serves from retrieval alone.

    Raises:
        Exception: as `load`, but for the online store.
    """
    version = load_version(pointer.model_path)
    store = _store(pointer, version.feature_service or feature_service, feature_timeout_ms)
    needed = [name for name in version.features if not name.startswith((RETRIEVAL, REQUEST))]
    return replace(_guarded(pointer, version, _index(pointer), store, needed), baked=True)


def load_challenger(champion: LoadedModel, release: Release) -> LoadedModel:
    """Load a release's model on the champion's data: its index, its reader, its "now".

    Raises:
        FileNotFoundError, CorruptedVersionError: when the model is missing or damaged.
        LoadError: when it is not the released one, asks for features that the champion's data do not have, or
            cannot score.
    """
    named = release.model_dump(include={"model_version", "model_path", "model_sha256"})
    pointer = champion.pointer.model_copy(update=named)
    version = load_version(pointer.model_path)
    return _assemble(pointer, version, champion.index, champion.reader, champion.keys, degraded=True)


def last_good(
    path: Path,
    feature_service: str,
    *,
    tries: int = 5,
    feature_timeout_ms: float = TIMEOUT_MS,
    taken_back: Callable[[str], str | None] = lambda version: None,
) -> LoadedModel:
    """Load the newest deployment before the one at the pointer's `path` that still can serve.

    When there is no pointer, or none that reads, every deployment was before.

    Args:
        path: the pointer, its history beside it.
        feature_service: whose features to read, of a version that does not say.
        tries: different deployments to try at most.
        feature_timeout_ms: as in `load`.
        taken_back: why a version is not to serve again, None when it may.

    Raises:
        LoadError: when none of them can serve; it says why each cannot.
    """
    problems: list[str] = []
    tried: set[tuple[str, str | None, Path | str]] = set()
    for pointer in reversed(served_before(path)):
        served = (pointer.model_sha256, pointer.index_sha256, pointer.online_store)
        if len(tried) == tries:
            break
        if served in tried:
            continue
        tried.add(served)
        refused = taken_back(pointer.model_version)
        if refused:
            problems.append(refused)
            continue
        try:
            return load(pointer, feature_service, feature_timeout_ms=feature_timeout_ms)
        except Exception as error:  # the one before may do
            problems.append(f"{pointer.model_version}: {error}")
    raise LoadError(f"no deployment before the one at {path} can serve: {'; '.join(problems) or 'there is none'}")


def _store(pointer: Pointer, feature_service: str, timeout_ms: float) -> Store:
    address: Path | str = pointer.online_store
    return Store(address.resolve() if isinstance(address, Path) else address, feature_service, timeout_ms / 1e3)


def _index(pointer: Pointer) -> RetrievalIndex | None:
    return RetrievalIndex.load(pointer.index_path) if pointer.index_path else None


def _guarded(
    pointer: Pointer,
    version: VersionRef,
    index: RetrievalIndex | None,
    store: Store,
    instead: Sequence[str] | None = None,
) -> LoadedModel:
    """A model that waits long for its probe's features, off the event loop, and from then on the store's time.

    With `instead`, it may do without: these are the features when the store cannot be opened.
    """
    keys: tuple[str, ...] = ()
    try:
        opened = open_reader(store.address, store.service)
        names, keys = opened.feature_names, opened.keys
    except Exception as error:
        if instead is None:
            raise
        logger.error("no features from %s, answers are degraded: %s", store.address, error)
        names = list(instead)
    patient = GuardedReader(replace(store, timeout_seconds=PROBE_SECONDS, breaker=Breaker()), names)
    try:
        loaded = _assemble(pointer, version, index, patient, keys, degraded=instead is not None)
    finally:
        patient.close()
    return replace(loaded, reader=GuardedReader(store, names))


def _assemble(
    pointer: Pointer,
    version: VersionRef,
    index: RetrievalIndex | None,
    reader: Reader,
    keys: tuple[str, ...],
    *,
    degraded: bool = False,
) -> LoadedModel:
    if version.version != pointer.model_version:
        raise LoadError(f"{pointer.model_path} holds version {version.version}, not {pointer.model_version}")
    if version.sha256 != pointer.model_sha256:
        raise LoadError(f"{pointer.model_path} holds other bytes than were released: {version.sha256[:12]}…")
    booster = version.booster()
    if booster.num_feature() != len(version.features):
        raise LoadError(
            f"{version.path}: the booster has {booster.num_feature()} columns, model.json names {len(version.features)}"
        )
    loaded = LoadedModel(
        pointer=pointer,
        booster=booster,
        features=version.features,
        index=index,
        reader=reader,
        plan=_plan(version.features, index.source_names if index else (), reader.feature_names),
        keys=version.keys or keys,
        forms=version.key_forms,
        bounds=version.bounds,
        prior=float(version.metrics.get(PRIOR, 0.0)),
    )
    _probe(loaded, degraded)
    return loaded


def _plan(features: tuple[str, ...], sources: Sequence[str], read: Sequence[str]) -> Plan:
    retrieval = {f"{RETRIEVAL}{source}": position for position, source in enumerate(sources)}
    reader = {name: position for position, name in enumerate(read)}
    asked = tuple((name.removeprefix(REQUEST), to) for to, name in enumerate(features) if name.startswith(REQUEST))
    there = {*retrieval, *reader, *(f"{REQUEST}{name}" for name, _ in asked)}
    missing = [name for name in features if name not in there]
    if missing:
        raise LoadError(f"nothing provides the model's features {', '.join(missing[:5])} ({len(missing)} in all)")

    def positions(known: dict[str, int]) -> tuple[Positions, Positions]:
        pairs = [(known[name], to) for to, name in enumerate(features) if name in known]
        columns = np.array(pairs, dtype=np.intp).reshape(-1, 2)
        return columns[:, 0], columns[:, 1]

    retrieval_from, retrieval_to = positions(retrieval)
    reader_from, reader_to = positions(reader)
    customer = np.array([at for name, at in reader.items() if name.startswith(CUSTOMER)], dtype=np.intp)
    return Plan(retrieval_from, retrieval_to, reader_from, reader_to, customer, asked)


def _probe(loaded: LoadedModel, degraded: bool) -> None:
    """Score once: what cannot serve must fail here, and what can is warm when it takes over.

    `degraded`: whether it may be without features.
    """
    if loaded.index is None:
        predicted = predict(loaded, blank(loaded.keys, loaded.request))
        lacking, finite = predicted.degraded, math.isfinite(predicted.value)
    else:
        customer = next(iter(loaded.index.customers), "nobody")
        answer = score(loaded, RecommendRequest(customer=customer), k=1)
        lacking, finite = answer.degraded, bool(np.isfinite(answer.scores).all())
    if FEATURES in lacking and not degraded:
        raise LoadError(f"the online store {loaded.pointer.online_store} cannot be read")
    if not finite:
        raise LoadError(f"version {loaded.pointer.model_version} gives scores that are no numbers")
