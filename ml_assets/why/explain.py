"""Why the service answered what it did: from the log, with the very booster that answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from ml_assets.learning.provenance import Provenance
from ml_assets.learning.spec import ModelSpec
from ml_assets.registry import journal
from ml_assets.registry.promote import promotion_journal
from ml_assets.registry.release import Arm
from ml_assets.registry.versions import CorruptedVersionError, VersionRef, load_version, versions_home
from ml_assets.release.ledger import entries
from ml_assets.settings import Settings
from ml_assets.why.answers import Logged, UnknownPredictionError, find_answer
from ml_assets.why.explanation import Contribution, Explanation, Origin, ShownProduct
from ml_assets.why.raw_events import raw_events

Floats = NDArray[np.float64]

__all__ = ["UnknownPredictionError", "why"]

TOP = 6
"""Contributions named per product; the others are added up."""

EVENTS = 12
"""Raw events named; their number is always said."""

TOLERANCE = 1e-4
"""Logged scores are float32: contributions add up to the score within this, relative to the larger of it and 1."""


def why(
    settings: Settings, spec: ModelSpec, prediction_id: str, *, top: int = TOP, events: int = EVENTS
) -> Explanation:
    """Explain one answer: request, sources, features with what they contributed, model, data, raw events.

    Contributions are the SHAP values of the version that answered, on the features it was given (TreeSHAP, Lundberg
    et al. 2018, as LightGBM computes it). They add up to the logged score; a note says so where they do not.

    Args:
        settings: the deployment.
        spec: the model.
        prediction_id: as in the answer's JSON.
        top: contributions named per product.
        events: raw events named.

    Raises:
        UnknownPredictionError: when the log has no such answer.
    """
    logged = find_answer(settings, spec.name, prediction_id)
    answer = logged.answer
    version, problem = _version(settings, spec, logged)
    contributions = None if version is None else _contributions(version, logged.shown)
    notes = [problem] if problem else _doubts(version, contributions, logged.shown)
    known, before = raw_events(settings, answer["customer_id"], answer["as_of"] or answer["time"], events)
    request: dict[str, Any] = {name: answer[name] for name in _AS_LOGGED}
    request |= {name: tuple(answer[name]) for name in ("unknown_products", "degraded")}
    request["candidates"] = None if answer["candidates"] is None else tuple(answer["candidates"])
    request["session"] = tuple(tuple(map(str, event)) for event in orjson.loads(answer["session"]))
    return Explanation(
        **request,
        origin=None if version is None else _origin(settings, spec, version, answer),
        products=_products(logged, version, contributions, top),
        events=known,
        events_before=before,
        notes=tuple(notes),
    )


_AS_LOGGED = (
    *("prediction_id", "time", "as_of", "arm", "customer_id", "customer_known", "k", "ranked", "index", "served_by"),
    *("latency_ms", "release_id"),
)


def _version(settings: Settings, spec: ModelSpec, logged: Logged) -> tuple[VersionRef | None, str]:
    """The version that ranked the answer, and what stands in the way of it."""
    if logged.answer["arm"] in {Arm.HOLDBACK, Arm.FALLBACK}:
        return None, "no model was asked: what is shown is what most customers bought"
    try:
        return load_version(versions_home(settings, spec.name) / logged.answer["model_version"]), ""
    except (FileNotFoundError, CorruptedVersionError) as error:
        return None, str(error)


def _contributions(version: VersionRef, shown: pa.Table) -> Floats | None:
    """[shown, features + 1] what each feature moved, the last column the base; None when features were not logged."""
    if set(version.features) - set(shown.column_names):
        return None
    x = _logged_features(version, shown)
    return np.asarray(version.booster().predict(x, pred_contrib=True), dtype=np.float64)


def _logged_features(version: VersionRef, shown: pa.Table) -> NDArray[np.float32]:
    """[shown, features] the booster's input as it was logged, NaN where a value was missing."""
    columns = [shown[name].to_numpy() for name in version.features]
    return np.stack(columns, axis=1).astype(np.float32).reshape(len(shown), len(version.features))


def _doubts(version: VersionRef | None, contributions: Floats | None, shown: pa.Table) -> list[str]:
    if version is None:
        return []
    if contributions is None:
        return [f"the log lacks features of version {version.version}: nothing can be said about contributions"]
    if not _adds_up(contributions, shown):
        return ["the contributions do not add up to the logged scores: these features did not make this answer"]
    return []


def _adds_up(contributions: Floats, shown: pa.Table) -> bool:
    logged = shown["score"].to_numpy().astype(np.float64)
    off = np.abs(contributions.sum(axis=1) - logged) / np.maximum(np.abs(logged), 1.0)
    return bool((off <= TOLERANCE).all())


def _products(
    logged: Logged, version: VersionRef | None, contributions: Floats | None, top: int
) -> tuple[ShownProduct, ...]:
    found = []
    for row, product in enumerate(logged.shown.select(_PER_PRODUCT).to_pylist()):
        said: dict[str, Any] = {**product, "sources": tuple(product["sources"])}
        if version is not None and contributions is not None:
            said |= _moved(version.features, _logged_features(version, logged.shown)[row], contributions[row], top)
        found.append(ShownProduct(**said | logged.outcomes.get(product["product_id"], {})))
    return tuple(found)


def _moved(features: Sequence[str], values: NDArray[np.float32], moved: Floats, top: int) -> dict[str, Any]:
    *each, base = moved
    strongest = sorted(range(len(features)), key=lambda at: (-abs(each[at]), features[at]))[:top]
    named = tuple(
        Contribution(feature=features[at], value=None if np.isnan(values[at]) else float(values[at]), moved=each[at])
        for at in strongest
    )
    return {"base": base, "contributions": named, "rest": float(sum(each) - sum(one.moved for one in named))}


_PER_PRODUCT = ["position", "product_id", "category_id", "score", "propensity", "sources"]


def _origin(settings: Settings, spec: ModelSpec, version: VersionRef, answer: dict[str, Any]) -> Origin:
    then = Provenance.of(version)
    judged = [
        entry
        for entry in journal.read(promotion_journal(settings, spec.name))
        if entry["event"] in {"promoted", "kept"} and entry.get("version") == version.version
    ]
    return Origin(
        version=version.version,
        run_id=version.run_id,
        training_set=version.training_set,
        trained_until=then.trained_until,
        data=then.data,
        code=then.code,
        spec=then.spec,
        reason=f"{judged[-1]['event']}: {judged[-1]['reason']}" if judged else "unknown: the journal does not name it",
        release=_release(settings, spec, answer["release_id"]),
    )


def _release(settings: Settings, spec: ModelSpec, release_id: str | None) -> tuple[str, ...]:
    """What the release journal says of the release that the answer was part of."""
    if release_id is None:
        return ()
    told = [entry for entry in entries(settings, spec.name) if entry["release_id"] == release_id]
    return tuple(f"{entry['at']}: {entry['event']}: {entry['reason']}" for entry in told)
