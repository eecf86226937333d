"""Why the service answered what it did: from the log, with the very booster that answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.datasets.provenance import Provenance
from ml_assets.explain.answers import Logged, UnknownPredictionError, find_answer
from ml_assets.explain.explanation import Contribution, EventExplanation, ListExplanation, Moved, Origin, ShownProduct
from ml_assets.explain.raw_events import raw_events
from ml_assets.registry.promote import promotions
from ml_assets.registry.release import Arm
from ml_assets.registry.versions import CorruptedVersionError, VersionRef, load_version, versions_home
from ml_assets.release.ledger import entries

Floats = NDArray[np.float64]

__all__ = ["UnknownPredictionError", "why"]

TOP = 6
"""Contributions named per product; the others are added up."""

EVENTS = 12
"""Raw events named; their number is always said."""

TOLERANCE = 1e-4
"""Logged scores are float32: the logged features give them within this, relative to the larger of it and 1."""


def why(
    settings: Settings, spec: ModelSpec, prediction_id: str, *, top: int = TOP, events: int = EVENTS
) -> ListExplanation | EventExplanation:
    """Explain one answer: request, features with what they contributed, model, data; of a list sources and raw events.

    Contributions are the SHAP values of the version that answered, on the features it was given (TreeSHAP, Lundberg
    et al. 2018, as LightGBM computes it). A note says so where these features do not give the logged score.

    Args:
        settings: the deployment.
        spec: the model.
        prediction_id: as in the answer's JSON.
        top: contributions named per score.
        events: raw events named.

    Raises:
        UnknownPredictionError: when the log has no such answer.
    """
    logged = find_answer(settings, spec, prediction_id)
    answer = logged.answer
    version, problem = _version(settings, spec, logged)
    contributions = None if version is None else _contributions(version, logged.shown)
    shared: dict[str, Any] = {name: answer[name] for name in _AS_LOGGED}
    shared["degraded"] = tuple(answer["degraded"])
    shared["origin"] = None if version is None else _origin(settings, spec, version, answer)
    shared["notes"] = (problem,) if problem else _doubts(version, contributions, logged.shown)
    moved = _moved(version, contributions, logged.shown, top)
    if spec.ranks:
        return _of_list(settings, logged, shared, moved, events)
    return _of_event(logged, shared, moved)


_AS_LOGGED = ("prediction_id", "time", "as_of", "arm", "served_by", "latency_ms", "release_id")


def _of_list(
    settings: Settings, logged: Logged, shared: dict[str, Any], moved: list[dict[str, Any]], events: int
) -> ListExplanation:
    answer = logged.answer
    known, before = raw_events(settings, answer["customer_id"], answer["as_of"] or answer["time"], events)
    outcomes = {row["product_id"]: row for row in logged.outcomes}
    rows = [row | {"sources": tuple(row["sources"])} for row in logged.shown.select(_PER_PRODUCT).to_pylist()]
    products = [row | outcomes.get(row["product_id"], {}) | each for row, each in zip(rows, moved, strict=True)]
    return ListExplanation(
        **shared,
        **{name: answer[name] for name in ("customer_id", "customer_known", "k", "ranked", "index")},
        unknown_products=tuple(answer["unknown_products"]),
        candidates=None if answer["candidates"] is None else tuple(answer["candidates"]),
        session=tuple(tuple(map(str, event)) for event in orjson.loads(answer["session"])),
        products=tuple(ShownProduct(**product) for product in products),
        events=known,
        events_before=before,
    )


def _of_event(logged: Logged, shared: dict[str, Any], moved: list[dict[str, Any]]) -> EventExplanation:
    answer = logged.answer
    return EventExplanation(
        **shared,
        **{name: answer[name] for name in ("event", "known", "value")},
        **{name: orjson.loads(answer[name]) for name in ("keys", "request")},
        moved=Moved(**moved[0]),
        label=logged.outcomes[0]["label"] if logged.outcomes else None,
    )


_WITHOUT = {True: "what is shown is what most customers bought", False: "the answer is the mean of the known labels"}


def _version(settings: Settings, spec: ModelSpec, logged: Logged) -> tuple[VersionRef | None, str]:
    """The version that ranked the answer, and what stands in the way of it."""
    if logged.answer["arm"] in {Arm.HOLDBACK, Arm.FALLBACK}:
        return None, f"no model was asked: {_WITHOUT[spec.ranks]}"
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


def _doubts(version: VersionRef | None, contributions: Floats | None, shown: pa.Table) -> tuple[str, ...]:
    if version is None:
        return ()
    if contributions is None:
        return (f"the log lacks features of version {version.version}: nothing can be said about contributions",)
    if not _adds_up(version, shown):
        return ("the contributions do not add up to the logged scores: these features did not make this answer",)
    return ()


def _adds_up(version: VersionRef, shown: pa.Table) -> bool:
    logged = shown["score"].to_numpy().astype(np.float64)
    given = np.asarray(version.booster().predict(_logged_features(version, shown)), dtype=np.float64)
    return bool((np.abs(given - logged) / np.maximum(np.abs(logged), 1.0) <= TOLERANCE).all())


def _moved(version: VersionRef | None, contributions: Floats | None, shown: pa.Table, top: int) -> list[dict[str, Any]]:
    """What moved the score of each row, as `Moved` has it; nothing where it is not known."""
    if version is None or contributions is None:
        return [{} for _ in range(len(shown))]
    values = _logged_features(version, shown)
    return [_strongest(version.features, *row, top) for row in zip(values, contributions, strict=True)]


def _strongest(features: Sequence[str], values: NDArray[np.float32], moved: Floats, top: int) -> dict[str, Any]:
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
        for entry in promotions(settings, spec.name)
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
