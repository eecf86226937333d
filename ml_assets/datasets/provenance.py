"""Where a model version comes from: what it takes to train it again, and what has changed since."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

import duckdb
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ml_assets.config.keys import KeyForm
from ml_assets.config.model_spec import RECORDED, ModelSpec
from ml_assets.config.numbers import ANY, Bounds
from ml_assets.config.renamed import todays_names
from ml_assets.datasets.code import Parts, data_code, recorded_before, training_code, version_of
from ml_assets.datasets.fingerprint import data_versions, described
from ml_assets.datasets.labelled import REQUEST
from ml_assets.datasets.source_reading import numbers_of
from ml_assets.datasets.split import Part
from ml_assets.datasets.training_set import ROWS, DatasetRef
from ml_assets.ingestion.reading.readers import parquet, quote
from ml_assets.registry.versions import VersionRef

CUT = ("name", "slices", "split")
"""What a training set's address depends on, but not what is learned from a row of it."""


class Provenance(BaseModel):
    """What a version was trained from, as its `model.json` keeps it (`created_from`)."""

    model_config = ConfigDict(frozen=True)

    training_set: str = Field(default="", description="its content address")
    data: dict[str, str] = Field(default_factory=dict, description="versions of events, catalogue and spine")
    code: str = Field(default="", description="hash of the sources that decide what a training set holds")
    training_code: str = Field(default="", description="hash of the sources that make a booster of it")
    sources: dict[str, str] = Field(default_factory=dict, description="each part of this code with a short hash")
    spec: dict[str, Any] = Field(default_factory=dict, description="what of the model's spec it depends on")
    keys: tuple[str, ...] = Field(default=(), description="join keys of its features, of labelled events")
    forms: dict[str, KeyForm] = Field(default_factory=dict, description="how each of these keys is written")
    bounds: dict[str, Bounds] = Field(default_factory=dict, description="what numbers of a request may be")
    split: dict[Part, tuple[date, ...]] = Field(default_factory=dict, description="decisions of each part")

    @classmethod
    def now(cls, spec: ModelSpec, dataset: DatasetRef) -> Provenance:
        """Of a version that is trained now on this training set."""
        manifest = dataset.manifest
        return cls(
            training_set=dataset.fingerprint,
            data=manifest.data,
            code=manifest.code,
            training_code=version_of(training_code()),
            sources={**manifest.sources, **training_code()},
            spec={**(manifest.spec or described(spec)), "training": spec.training.model_dump(mode="json")},
            keys=join_keys_of(spec),
            forms=key_forms_of(spec),
            bounds=bounds_of(spec, dataset),
            split=manifest.split,
        )

    @classmethod
    def of(cls, version: VersionRef) -> Provenance:
        """Of a published version; what an older one did not record is empty."""
        return cls.model_validate(dict(version.created_from))

    @property
    def trained_until(self) -> date | None:
        """The newest decision it was trained on (train and validation), None when that is not recorded."""
        days = [*self.split.get(Part.TRAIN, ()), *self.split.get(Part.VALIDATION, ())]
        return max(days, default=None)

    @property
    def newest(self) -> date | None:
        """The newest decision of any part."""
        return max((day for days in self.split.values() for day in days), default=None)

    def spec_then(self, spec: ModelSpec) -> ModelSpec:
        """The spec as it was; what was not recorded is as it is now."""
        return ModelSpec.model_validate({**spec.model_dump(mode="json"), **todays_names(self.spec)}, context=RECORDED)


def spec_of(version: VersionRef, spec: ModelSpec) -> ModelSpec:
    """The spec a version was trained by: its features, request and post-outcome columns belong to it, not to the YAML.

    How it is served, watched and released is as the YAML says now.

    Args:
        version: a published version of the model.
        spec: the model's YAML as it is now.
    """
    return Provenance.of(version).spec_then(spec)


def join_keys_of(spec: ModelSpec) -> tuple[str, ...]:
    """The join keys of a binary or regression model's features, in the order its feature service names them."""
    from feature_repo.declared import SHOP_SERVICES, file_of

    service = spec.feature_service
    return () if spec.ranks or service in SHOP_SERVICES else file_of(service).keys(service)


def key_forms_of(spec: ModelSpec) -> dict[str, KeyForm]:
    """How each of these join keys is written."""
    from feature_repo.declared import SHOP_SERVICES, file_of

    service = spec.feature_service
    return {} if spec.ranks or service in SHOP_SERVICES else file_of(service).forms(service)


def bounds_of(spec: ModelSpec, dataset: DatasetRef) -> dict[str, Bounds]:
    """What the source's contract says of the numbers a request names, as far as every row of a training set keeps it.

    The spine may have made something else of a column under its name; then the contract says nothing of it.
    """
    said = {name: bounds for name, bounds in numbers_of(spec).items() if bounds != ANY}
    if not said:
        return {}
    broken = ", ".join(f"count_if({_as_float(said[name]).broken_sql(quote(REQUEST + name))})" for name in said)
    with duckdb.connect() as connection:
        [counts] = connection.execute(f"select {broken} from {parquet(dataset.path / ROWS)}").fetchall()
    return {name: bounds for (name, bounds), count in zip(said.items(), counts, strict=True) if not count}


def _as_float(bounds: Bounds) -> Bounds:
    """The same bounds for numbers that were rounded to float32, which may have come to lie on them."""
    low = max((limit for limit in (bounds.min, bounds.above) if limit is not None), default=None)
    low, high = (None if limit is None else float(np.float32(limit)) for limit in (low, bounds.max))
    return Bounds(min=low, max=high, whole=bounds.whole)


def code_of(spec: ModelSpec) -> Parts:
    """Each part of today's code that decides what the model learns."""
    return {**data_code(spec), **training_code()}


def code_changes(then: Provenance, now: Parts) -> list[str]:
    """Parts of the code that differ from those a version was made by.

    Of a version that was made when code was recorded file by file, nothing is known: it counts as made by today's code.

    Args:
        then: what the version was made from.
        now: today's parts, all or some of them.
    """
    if not then.sources or recorded_before(then.sources):
        return []
    kinds = {name.split()[0] for name in now}
    before = {name: said for name, said in then.sources.items() if name in now or name.split()[0] in kinds - {"py"}}
    return changed_keys(before, now)


def spec_changes(then: Provenance, spec: ModelSpec) -> list[str]:
    """Keys of the model's YAML that would make another booster now: "training.rounds: 250, now 300"."""
    current = {**described(spec), "training": spec.training.model_dump(mode="json")}
    before, after = dict(_flat(todays_names(then.spec))), dict(_flat(todays_names(current)))
    changed = [name for name in changed_keys(before, after) if name.split(".")[0] not in CUT] if before else []
    return [f"{name}: {before.get(name, 'unset')}, now {after.get(name, 'unset')}" for name in changed]


def data_changes(then: Provenance, spec: ModelSpec, warehouse: duckdb.DuckDBPyConnection) -> list[str]:
    """What of the data the version knew has been rewritten since: "events before 2026-06-29"."""
    if then.newest is None:
        return []
    until = then.newest + timedelta(days=spec.horizon_days)
    return [f"{name} before {until}" for name in changed_keys(then.data, data_versions(warehouse, spec, until))]


def changed_keys(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Keys that one of the two lacks, or whose values differ; sorted."""
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
