"""Where a model version comes from: what it takes to train it again, and what has changed since."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

import duckdb
from pydantic import BaseModel, ConfigDict, Field

from ml_assets.learning.fingerprint import DATA_CODE, TRAINING_CODE, code_version, data_versions, described, sources
from ml_assets.learning.spec import ModelSpec
from ml_assets.learning.split import Part
from ml_assets.learning.training_set import DatasetRef
from ml_assets.registry.versions import VersionRef

ALL_CODE = (*DATA_CODE, *TRAINING_CODE)
CUT = ("name", "slices", "split")
"""What a training set's address depends on, but not what is learned from a row of it."""


class Provenance(BaseModel):
    """What a version was trained from, as its `model.json` keeps it (`created_from`)."""

    model_config = ConfigDict(frozen=True)

    training_set: str = Field(default="", description="its content address")
    data: dict[str, str] = Field(default_factory=dict, description="versions of events, catalogue and spine")
    code: str = Field(default="", description="hash of the sources that decide what a training set holds")
    training_code: str = Field(default="", description="hash of the sources that make a booster of it")
    sources: dict[str, str] = Field(default_factory=dict, description="each of these files with a short hash")
    spec: dict[str, Any] = Field(default_factory=dict, description="what of the model's spec it depends on")
    split: dict[Part, tuple[date, ...]] = Field(default_factory=dict, description="decisions of each part")

    @classmethod
    def now(cls, spec: ModelSpec, dataset: DatasetRef) -> Provenance:
        """Of a version that is trained now on this training set."""
        manifest = dataset.manifest
        return cls(
            training_set=dataset.fingerprint,
            data=manifest.data,
            code=manifest.code,
            training_code=code_version(TRAINING_CODE),
            sources={**manifest.sources, **sources(TRAINING_CODE)},
            spec={**(manifest.spec or described(spec)), "training": spec.training.model_dump(mode="json")},
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
        return ModelSpec.model_validate({**spec.model_dump(mode="json"), **self.spec})


def code_changes(then: Provenance, patterns: tuple[str, ...] = ALL_CODE) -> list[str]:
    """The matching sources that differ from those the version was made by; unnamed when only their hash was kept."""
    if not then.sources:
        return ["sources of the training set"] if then.code and then.code != code_version() else []
    now, asked = sources(ALL_CODE), sources(patterns)
    return [name for name in changed_keys(then.sources, now) if name in asked or name not in now]


def spec_changes(then: Provenance, spec: ModelSpec) -> list[str]:
    """Keys of the model's YAML that would make another booster now: "training.rounds: 250, now 300"."""
    current = {**described(spec), "training": spec.training.model_dump(mode="json")}
    before, after = dict(_flat(then.spec)), dict(_flat(current))
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
