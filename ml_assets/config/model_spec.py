"""The typed description of a model: everything a `defs.yaml` may say about it.

A model is a YAML file. The classes here are its schema: frozen, documented, and free of Dagster, so that the
service, the benchmarks and the tests read the same truth as the assets do.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, ValidationInfo, model_validator

from ml_assets.config.component_files import DEFS, Component, model_components
from ml_assets.config.lightgbm_parameters import wrong_parameters
from ml_assets.config.model_config import (
    YEARS,
    DriftSpec,
    GateSpec,
    MonitoringSpec,
    QualitySpec,
    ReleaseSpec,
    RetrainingSpec,
    ServingSpec,
    SplitSpec,
    TrainingSpec,
    TuningSpec,
)
from ml_assets.config.renamed import RENAMED
from ml_assets.config.retrieval_config import RetrievalSpec
from ml_assets.config.settings import SHOP
from ml_assets.config.yaml_file import ConfigError, Loc, Part, Strict, place, validated, wrong_keys

__all__ = [
    "DriftSpec",
    "GateSpec",
    "ModelSpec",
    "MonitoringSpec",
    "QualitySpec",
    "ReleaseSpec",
    "RetrainingSpec",
    "ServingSpec",
    "SplitSpec",
    "Task",
    "TrainingSpec",
    "TuningSpec",
    "model_spec",
    "model_specs",
    "models",
    "read_model",
]


class Task(StrEnum):
    """What the model predicts.

    `ranking`: which items, for whom asks at a decision. `binary`: the probability of an event, `regression`: a number;
    both from a spine of labelled events.
    """

    RANKING = "ranking"
    BINARY = "binary"
    REGRESSION = "regression"


RANKING_ONLY = (
    *("item", "relevance_threshold", "revenue", "retrieval", "release"),
    *("split.customers", "retraining.split.customers"),
    *("training.negatives", "serving.k", "serving.max_k", "serving.exploration", "serving.holdback"),
    *("monitoring.quality.outcomes", "monitoring.quality.attribution_minutes"),
)
"""Keys of a model's YAML that do something for rankings only."""
EVENTS_ONLY = ("request_features", "post_outcome_columns", "bootstrap_unit")
"""Keys that do something for binary and regression models only."""
RECORDED = "recorded"
"""Validation context of a spec that a version has recorded whole: it also says what does nothing."""
GATE_METRIC = {Task.RANKING: "ndcg_10", Task.BINARY: "average_precision", Task.REGRESSION: "rmse"}
"""What the gate compares when the YAML does not say."""


MOST_GRADE = 30
"""Largest label LightGBM's ranker has a gain for by itself."""


class ModelSpec(Strict):
    """One model, from its training set to its endpoint."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="prefix of the model's assets, name in MLflow")
    description: str = Field(description="one sentence for the lineage graph")
    owner: str = Field(default="team:ml", description="Dagster owner: an address or team:<name>")
    task: Task = Field(default=Task.RANKING, description="ranking, binary or regression")
    source: str = Field(default=SHOP, description="whose data it is of: `shop`, or a file of `sources/` (its name)")
    spine: str = Field(
        description="dbt mart. ranking: who is to be ranked what, when, with which label; else: labelled events"
    )
    feature_service: str = Field(description="Feast feature service the model trains on and is served from")
    entity: str = Field(
        default="customer_id",
        description="ranking: who asks, the column that groups the ranked rows; else: the event's id",
    )
    item: str = Field(default="product_id", description="ranking: what is ranked")
    time: str = Field(
        default="decision_ts", description="when the prediction is wanted: nothing later is known to the model"
    )
    label: str = Field(
        default="label", description="ranking: graded relevance, an integer of 0 to 30; binary: 0 or 1; else a number"
    )
    request_features: tuple[str, ...] = Field(
        default=(), description="binary, regression: spine columns (numbers) that the caller knows and sends along"
    )
    post_outcome_columns: tuple[str, ...] = Field(
        default=(), description="binary, regression: spine columns known only after the event: never features"
    )
    bootstrap_unit: str | None = Field(
        default=None,
        description="binary, regression: spine column whose rows the bootstrap resamples together; none: each",
    )
    relevance_threshold: int = Field(
        default=3, ge=1, description="ranking: labels of at least this grade count as relevant"
    )
    revenue: str | None = Field(default="revenue", description="ranking: spine column weighting the revenue metric")
    horizon_days: int = Field(default=7, ge=1, le=YEARS, description="days after the decision in which the label forms")
    slices: tuple[str, ...] = Field(default=(), description="spine columns the metrics are broken down by")
    retrieval: RetrievalSpec = Field(default_factory=RetrievalSpec, description="ranking: candidate generation")
    split: SplitSpec = Field(default_factory=SplitSpec)
    tuning: TuningSpec = Field(default_factory=TuningSpec)
    training: TrainingSpec = Field(default_factory=TrainingSpec)
    gate: GateSpec = Field(default_factory=GateSpec)
    serving: ServingSpec = Field(default_factory=ServingSpec)
    monitoring: MonitoringSpec = Field(default_factory=MonitoringSpec)
    retraining: RetrainingSpec = Field(default_factory=RetrainingSpec)
    release: ReleaseSpec = Field(default_factory=ReleaseSpec)

    @model_validator(mode="before")
    @classmethod
    def _names_of_today(cls, given: Any) -> Any:
        """Refuse a key by the name it once had."""
        former = RENAMED.keys() & given.keys() if isinstance(given, Mapping) else ()
        if former:
            told = "is called {} now: `make migrate` renames it"
            raise wrong_keys(cls.__name__, {(name,): told.format(RENAMED[name]) for name in sorted(former)})
        return given

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_task(cls, given: Any) -> Any:
        """The gate's metric, the route and the cut of a retraining where they are not given: what fits the task."""
        if not isinstance(given, Mapping) or given.get("task", Task.RANKING) not in {Task.BINARY, Task.REGRESSION}:
            return given
        metric, route = GATE_METRIC[Task(given["task"])], f"/{given.get('name')}"
        fresh = _fresh(given.get("split"))
        return {
            **given,
            "gate": _filled(given.get("gate"), GateSpec, "metric", metric),
            "serving": _filled(given.get("serving"), ServingSpec, "route", route),
            "retraining": _filled(given.get("retraining"), RetrainingSpec, "split", fresh),
        }

    @model_validator(mode="after")
    def _every_key_does_something(self, info: ValidationInfo) -> ModelSpec:
        """Refuse what is said and would change nothing."""
        problems: dict[Loc, str] = {}
        foreign, others = (EVENTS_ONLY, "binary and regression models") if self.ranks else (RANKING_ONLY, "rankings")
        for key in foreign if info.context != RECORDED else ():
            if _says(self, key.split(".")):
                problems[key.split(".")[0], *key.split(".")[1:]] = (
                    f"only for {others}, and task is {self.task.value}: take it out"
                )
        if self.ranks and self.source != SHOP:
            problems["source",] = f"a ranking is always of the {SHOP}: take it out"
        for name, told in wrong_parameters(self.training.params, self.task.value):
            problems["training", "params", name] = told
        if problems:
            raise wrong_keys(type(self).__name__, problems)
        return self

    @model_validator(mode="after")
    def _keys_fit_each_other(self) -> ModelSpec:
        late = [name for name in self.post_outcome_columns if name in {*self.request_features, *self.slices}]
        if late:
            raise ValueError(
                f"request_features: {', '.join(late)} is known only after the event (post_outcome_columns): take it out"
            )
        if self.label in self.request_features:
            raise ValueError(f"request_features: {self.label!r} is the label: take it out")
        return self

    @model_validator(mode="after")
    def _k_within_bounds(self) -> ModelSpec:
        if self.serving.k > self.serving.max_k:
            raise ValueError(f"serving.k ({self.serving.k}) is larger than serving.max_k ({self.serving.max_k})")
        if self.ranks and self.relevance_threshold > self.most_grade:
            raise ValueError(
                f"relevance_threshold ({self.relevance_threshold}): the ranker knows labels of 0 to {self.most_grade}"
            )
        return self

    @property
    def most_grade(self) -> int:
        """Largest label that the ranker has a gain for: 2^30, unless `label_gain` among the parameters says gains."""
        gains = self.training.params.get("label_gain")
        said = gains.split(",") if isinstance(gains, str) else gains
        return MOST_GRADE if said is None else len(said) - 1

    @property
    def ranks(self) -> bool:
        """Whether it ranks items; else it predicts the label of an event."""
        return self.task is Task.RANKING

    @property
    def says(self) -> str:
        """What the predicted label of an event is called, in answers, logs and files."""
        return "probability" if self.task is Task.BINARY else "value"

    @property
    def delay_days(self) -> int:
        """Days until a day's outcomes, or the labels of its events, count as complete."""
        said = self.monitoring.quality.delay_days
        return said if self.ranks else max(said, self.horizon_days)


def _says(section: Any, keys: Sequence[str]) -> bool:
    """Whether a key was said, however deep; a section that is there, but empty, was."""
    key, *below = keys
    if not isinstance(section, Strict) or key not in section.model_fields_set:
        return False
    return _says(getattr(section, key), below) if below else True


def _fresh(split: Any) -> SplitSpec:
    """The cut close to now of labelled events: as much to learn from as ever, judged on half of what chooses rounds."""
    try:
        said = {**split} if isinstance(split, Mapping) else split
        if isinstance(said, dict):
            said.pop("customers", None)  # refused where it is said
        whole = SplitSpec.model_validate(said or {})
    except ValidationError:  # told where it is said
        return SplitSpec()
    return whole.model_copy(update={"test": max(whole.validation // 2, 1), "holdout": 0})


def _filled(given: Any, section: type[Strict], key: str, value: Any) -> Any:
    """A section of the YAML with `key` where it does not say it; what is no mapping is for pydantic to refuse."""
    if isinstance(given, section):
        return given if key in given.model_fields_set else given.model_copy(update={key: value})
    return {key: value, **(given or {})} if given is None or isinstance(given, Mapping) else given


def read_model(component: Component) -> ModelSpec:
    """The model that a component describes.

    Raises:
        ConfigError: naming file, line and key of all that is wrong, and what is allowed there.
    """
    environment = tuple((name, os.environ.get(name)) for name in sorted(component.variables))
    return _read_model(component, environment)


@lru_cache(maxsize=256)
def _read_model(component: Component, _environment: tuple[tuple[str, str | None], ...]) -> ModelSpec:
    return validated(ModelSpec, component.attributes(), [component.part], ("attributes",))


def models(defs: Path = DEFS) -> dict[str, tuple[ModelSpec, Part]]:
    """Every model under a folder of definitions by name, in order, with where it is said.

    Raises:
        ConfigError: naming file, line and key of what is wrong; files and lines of two models of one name.
    """
    found: dict[str, tuple[ModelSpec, Part]] = {}
    for component in model_components(defs):
        spec, part = read_model(component), component.part
        if spec.name in found:
            first, second = (place([each], ["attributes", "name"]) for each in (found[spec.name][1], part))
            raise ConfigError(f"{second}: {spec.name!r} is the name of another model already: {first}; rename one")
        found[spec.name] = spec, part
    return dict(sorted(found.items()))


def model_specs(source: str | None = None) -> tuple[ModelSpec, ...]:
    """The models of this deployment by name, of one source where it is given."""
    return tuple(spec for spec, _ in models().values() if source in {None, spec.source})


def model_spec(name: str) -> ModelSpec:
    """The model of that name.

    Raises:
        KeyError: when there is none; it names those there are.
    """
    known = models()
    if name not in known:
        raise KeyError(f"no model {name!r}; there are: {', '.join(known)}")
    return known[name][0]
