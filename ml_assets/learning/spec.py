"""The typed description of a model: everything a `defs.yaml` may say about it.

A model is a YAML file. The classes here are its schema: frozen, documented, and free of Dagster, so that the
service, the benchmarks and the tests read the same truth as the assets do.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError, model_validator

from ml_assets.learning.sections import (
    DriftSpec,
    GateSpec,
    MonitoringSpec,
    QualitySpec,
    ReleaseSpec,
    RetrainingSpec,
    ServingSpec,
    SplitSpec,
    Strict,
    TrainingSpec,
    TuningSpec,
)
from ml_assets.retrieval.spec import RetrievalSpec
from ml_assets.settings import PROJECT, SHOP

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
    "Strict",
    "Task",
    "TrainingSpec",
    "TuningSpec",
    "load_model_spec",
    "model_spec",
    "model_specs",
]


class Task(StrEnum):
    """What the model predicts.

    `ranking`: which items, for whom asks at a decision. `binary`: the probability of an event, `regression`: a number;
    both from a spine of labelled events.
    """

    RANKING = "ranking"
    BINARY = "binary"
    REGRESSION = "regression"


RANKING_ONLY = ("item", "truth_grade", "revenue", "retrieval")
"""Keys of a model's YAML that mean something for rankings only."""
EVENTS_ONLY = ("request", "known_after", "cluster")
"""Keys that mean something for binary and regression models only."""
GATE_METRIC = {Task.RANKING: "ndcg_10", Task.BINARY: "average_precision", Task.REGRESSION: "rmse"}
"""What the gate compares when the YAML does not say."""


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
        default="label", description="ranking: graded relevance, an integer of 0 or more; binary: 0 or 1; else a number"
    )
    request: tuple[str, ...] = Field(
        default=(), description="binary, regression: spine columns (numbers) that the caller knows and sends along"
    )
    known_after: tuple[str, ...] = Field(
        default=(), description="binary, regression: spine columns known only after the event: never features"
    )
    cluster: str | None = Field(
        default=None,
        description="binary, regression: spine column whose rows the bootstrap resamples together; none: each",
    )
    truth_grade: int = Field(default=3, ge=1, description="ranking: labels of at least this grade count as relevant")
    revenue: str | None = Field(default="revenue", description="ranking: spine column weighting the revenue metric")
    horizon_days: int = Field(default=7, ge=1, description="days after the decision in which the label forms")
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
    def _keys_fit_the_task(self) -> ModelSpec:
        foreign = EVENTS_ONLY if self.task is Task.RANKING else RANKING_ONLY
        default = {
            name: field.get_default(call_default_factory=True) for name, field in type(self).model_fields.items()
        }
        said = [name for name in foreign if getattr(self, name) != default[name]]
        if said:
            allowed = "binary and regression models" if self.task is Task.RANKING else "rankings"
            raise ValueError(f"{', '.join(said)}: only for {allowed}, and task is {self.task.value}")
        late = [name for name in self.known_after if name in {*self.request, *self.slices}]
        if late:
            raise ValueError(f"request: {', '.join(late)} is known only after the event (known_after): take it out")
        if self.label in self.request:
            raise ValueError(f"request: {self.label!r} is the label: take it out")
        return self

    @model_validator(mode="after")
    def _k_within_bounds(self) -> ModelSpec:
        if self.serving.k > self.serving.max_k:
            raise ValueError(f"serving.k ({self.serving.k}) is larger than serving.max_k ({self.serving.max_k})")
        return self

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


def _fresh(split: Any) -> SplitSpec:
    """The cut close to now of labelled events: as much to learn from as ever, judged on half of what chooses rounds."""
    try:
        whole = SplitSpec.model_validate(split or {})
    except ValidationError:  # told where it is said
        return SplitSpec()
    return whole.model_copy(update={"test": max(whole.validation // 2, 1), "holdout": 0})


def _filled(given: Any, section: type[Strict], key: str, value: Any) -> Any:
    """A section of the YAML with `key` where it does not say it; what is no mapping is for pydantic to refuse."""
    if isinstance(given, section):
        return given if key in given.model_fields_set else given.model_copy(update={key: value})
    return {key: value, **(given or {})} if given is None or isinstance(given, Mapping) else given


def load_model_spec(path: Path) -> ModelSpec:
    """Read the `attributes` of a model's `defs.yaml`.

    Raises:
        FileNotFoundError: when there is no such file.
        pydantic.ValidationError: naming each wrong key and what is allowed there.
    """
    document = yaml.safe_load(path.read_text())
    return ModelSpec.model_validate(document["attributes"])


MODELS = PROJECT / "ml_assets" / "defs" / "models"


def model_specs(source: str | None = None) -> tuple[ModelSpec, ...]:
    """The models of this deployment by name, of one source where it is given."""
    specs = (load_model_spec(path) for path in sorted(MODELS.glob("*/defs.yaml")))
    return tuple(spec for spec in specs if source in {None, spec.source})


def model_spec(name: str) -> ModelSpec:
    """The model of that name.

    Raises:
        KeyError: when there is none; it names those there are.
    """
    known = {spec.name: spec for spec in model_specs()}
    if name not in known:
        raise KeyError(f"no model {name!r}; there are: {', '.join(known)}")
    return known[name]
