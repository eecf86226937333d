"""The typed description of a model: everything a `defs.yaml` may say about it.

A model is a YAML file. The classes here are its schema: frozen, documented, and free of Dagster, so that the
service, the benchmarks and the tests read the same truth as the assets do.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ml_assets.retrieval.spec import RetrievalSpec


class Strict(BaseModel):
    """A frozen model that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Task(StrEnum):
    """What the model predicts."""

    RANKING = "ranking"


class SplitSpec(Strict):
    """Split by one global time cut, counted backwards from the newest decision whose label is complete.

    Oldest to newest: train, validation, test, holdout. Every part is a whole number of decisions, so no
    customer's future ever trains a model that is judged on the past.
    """

    train: int = Field(default=26, ge=1, description="decisions to train on at most (fewer if there are fewer)")
    validation: int = Field(default=2, ge=1, description="decisions that tuning and early stopping look at")
    test: int = Field(default=4, ge=1, description="decisions the gate and the report are computed on")
    holdout: int = Field(default=2, ge=0, description="newest decisions: reported, never used by any choice")
    customers: int = Field(
        default=1000, ge=10, description="customers per decision at most, a sample by hash; more narrow the intervals"
    )
    warmup_days: int = Field(default=28, ge=0, description="days of history a decision needs before it may train")
    same_season: bool = Field(
        default=False,
        description="also train on the decisions 52 weeks before the evaluated ones, where there are any",
    )


class TuningSpec(Strict):
    """How much search the hyperparameters get."""

    trials: int = Field(default=8, ge=0, description="Optuna trials in all; 0 keeps the defaults")
    timeout_seconds: float | None = Field(default=None, gt=0, description="stop starting new trials after this")
    rounds: int = Field(default=80, ge=1, description="boosting rounds of a trial at most")
    sample_groups: int = Field(default=2500, ge=1, description="training groups a trial sees at most")


class TrainingSpec(Strict):
    """The LightGBM booster."""

    rounds: int = Field(default=250, ge=1, description="boosting rounds at most; validation stops earlier")
    early_stopping: int = Field(default=25, ge=1, description="rounds without a better validation NDCG")
    negatives: int = Field(default=40, ge=1, description="unlabelled candidates kept per training group")
    seed: int = Field(default=7, description="seed of everything that is drawn")
    params: dict[str, Any] = Field(default_factory=dict, description="LightGBM parameters over the defaults")


class GateSpec(Strict):
    """When a candidate may become champion."""

    metric: str = Field(default="ndcg_10", description="metric the gate compares")
    margin: float = Field(default=0.0, ge=0, description="least gain over the champion, in the metric's unit")
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="level of the paired bootstrap interval")
    slice_tolerance: float = Field(default=0.02, ge=0, description="largest loss any slice may show")
    slice_min_customers: int = Field(default=50, ge=1, description="smaller slices are reported, not judged")
    draws: int = Field(default=1000, ge=100, description="bootstrap draws")


class ServingSpec(Strict):
    """How the model is served."""

    route: str = Field(default="/recommend", description="path of the endpoint")
    k: int = Field(default=10, ge=1, le=100, description="products returned when a request names no k")
    max_k: int = Field(default=100, ge=1, le=1000, description="largest k a request may ask for")
    workers: int = Field(default=1, ge=1, description="server processes")
    p99_ms: float = Field(default=100.0, gt=0, description="latency the service promises")


class ModelSpec(Strict):
    """One model, from its training set to its endpoint."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="prefix of the model's assets, name in MLflow")
    description: str = Field(description="one sentence for the lineage graph")
    owner: str = Field(default="team:ml", description="Dagster owner: an address or team:<name>")
    task: Task = Field(default=Task.RANKING)
    spine: str = Field(description="dbt mart: who is to be ranked what, when, with which label")
    feature_service: str = Field(description="Feast feature service the model trains on and is served from")
    entity: str = Field(default="customer_id", description="who asks: the column that groups the ranked rows")
    item: str = Field(default="product_id", description="what is ranked")
    time: str = Field(default="decision_ts", description="decision time: nothing later is known to the model")
    label: str = Field(default="label", description="graded relevance, an integer of 0 or more")
    truth_grade: int = Field(default=3, ge=1, description="labels of at least this grade count as relevant")
    revenue: str | None = Field(default="revenue", description="spine column weighting the revenue metric")
    horizon_days: int = Field(default=7, ge=1, description="days after the decision in which the label forms")
    slices: tuple[str, ...] = Field(default=(), description="spine columns the metrics are broken down by")
    retrieval: RetrievalSpec = Field(default_factory=RetrievalSpec)
    split: SplitSpec = Field(default_factory=SplitSpec)
    tuning: TuningSpec = Field(default_factory=TuningSpec)
    training: TrainingSpec = Field(default_factory=TrainingSpec)
    gate: GateSpec = Field(default_factory=GateSpec)
    serving: ServingSpec = Field(default_factory=ServingSpec)

    @model_validator(mode="after")
    def _k_within_bounds(self) -> ModelSpec:
        if self.serving.k > self.serving.max_k:
            raise ValueError(f"serving.k ({self.serving.k}) is larger than serving.max_k ({self.serving.max_k})")
        return self


def load_model_spec(path: Path) -> ModelSpec:
    """Read the `attributes` of a model's `defs.yaml`.

    Raises:
        FileNotFoundError: when there is no such file.
        pydantic.ValidationError: naming each wrong key and what is allowed there.
    """
    document = yaml.safe_load(path.read_text())
    return ModelSpec.model_validate(document["attributes"])
