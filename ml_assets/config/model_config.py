"""The sections of a model's YAML: split, tuning, training, gate, serving, monitoring, retraining, release."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from ml_assets.config.streaming_config import StreamingSpec
from ml_assets.config.yaml_file import Strict

MANY = 10**9
"""More than there is of anything that is counted."""
YEARS = 3650
"""Ten years, in days."""
MINUTE = 60_000.0
"""Milliseconds within which the server answers, or nobody waits any more."""


OWN_PATHS = ("/feedback", "/healthz", "/livez", "/metrics", "/readyz")
"""Pages of every model server."""


def _free(route: str) -> str:
    if route in OWN_PATHS:
        raise ValueError(f"{route} is the server's own page: choose another one")
    return route


Route = Annotated[str, Field(pattern=r"^/[a-z0-9_/-]+$"), AfterValidator(_free)]


class SplitSpec(Strict):
    """Split by one global time cut, counted backwards from the newest decision whose label is complete.

    Oldest to newest: train, validation, test, holdout. Every part is a whole number of decisions, so no
    customer's future ever trains a model that is judged on the past. A decision of a binary or regression model is a
    day with labelled events.
    """

    train: int = Field(
        default=26, ge=1, le=10_000, description="decisions to train on at most (fewer if there are fewer)"
    )
    validation: int = Field(default=2, ge=1, le=10_000, description="decisions that tuning and early stopping look at")
    test: int = Field(default=4, ge=1, le=10_000, description="decisions the gate and the report are computed on")
    holdout: int = Field(default=2, ge=0, le=10_000, description="newest decisions: reported, never used by any choice")
    customers: int = Field(
        default=1000,
        ge=10,
        le=MANY,
        description="customers per decision at most, a sample by hash; more narrow the intervals",
    )
    warmup_days: int = Field(
        default=28, ge=0, le=YEARS, description="days of history a decision needs before it may train"
    )
    same_season: bool = Field(
        default=False,
        description="also train on the decisions 52 weeks before the evaluated ones, where there are any",
    )


class TuningSpec(Strict):
    """How much search the hyperparameters get."""

    trials: int = Field(default=8, ge=0, le=10_000, description="Optuna trials in all; 0 keeps the defaults")
    timeout_seconds: float | None = Field(
        default=None, gt=0, le=604_800, description="stop starting new trials after this"
    )
    rounds: int = Field(default=80, ge=1, le=100_000, description="boosting rounds of a trial at most")
    sample_groups: int = Field(default=2500, ge=1, le=MANY, description="training groups a trial sees at most")


class TrainingSpec(Strict):
    """The LightGBM booster."""

    rounds: int = Field(default=250, ge=1, le=100_000, description="boosting rounds at most; validation stops earlier")
    early_stopping: int = Field(default=25, ge=1, le=100_000, description="rounds without a better validation NDCG")
    negatives: int = Field(default=40, ge=1, le=100_000, description="unlabelled candidates kept per training group")
    seed: int = Field(default=7, ge=0, le=2**31 - 1, description="seed of everything that is drawn")
    params: dict[str, Any] = Field(default_factory=dict, description="LightGBM parameters over the defaults")


class GateSpec(Strict):
    """When a candidate may become champion."""

    metric: str = Field(
        default="ndcg_10",
        description="metric the gate compares; binary: average_precision, regression: rmse by default",
    )
    margin: float = Field(default=0.0, ge=0, le=MANY, description="least gain over the champion, in the metric's unit")
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="level of the paired bootstrap interval")
    slice_tolerance: float = Field(default=0.02, ge=0, le=MANY, description="largest loss any slice may show")
    slice_min_customers: int = Field(default=50, ge=1, le=MANY, description="smaller slices are reported, not judged")
    leak: float = Field(
        default=0.98,
        gt=0.5,
        le=1,
        description="a feature that alone orders the labels this well leaks",
    )
    draws: int = Field(default=1000, ge=100, le=100_000, description="bootstrap draws")


class ServingSpec(Strict):
    """How the model is served."""

    route: Route = Field(
        default="/recommend",
        description="path of the endpoint; of a binary or regression model /<name> by default",
    )
    k: int = Field(default=10, ge=1, le=100, description="products returned when a request names no k")
    max_k: int = Field(default=100, ge=1, le=1000, description="largest k a request may ask for")
    port_offset: int = Field(
        default=0, ge=0, le=99, description="added to ML_ASSETS_PORT: each model has a port of its own"
    )
    workers: int = Field(default=1, ge=1, le=256, description="server processes")
    p99_ms: float = Field(default=100.0, gt=0, le=MINUTE, description="latency the service promises")
    max_error_share: float = Field(default=0.001, ge=0, lt=1, description="share of answers that may be errors (5xx)")
    max_degraded_share: float = Field(default=0.01, ge=0, lt=1, description="share of answers that may be degraded")
    exploration: float = Field(
        default=0.0, ge=0, le=0.5, description="share of answers whose last position is drawn from the other candidates"
    )
    holdback: float = Field(
        default=0.0, ge=0, le=0.5, description="share of customers (sticky) who get popularity: the online baseline"
    )
    feature_timeout_ms: float = Field(
        default=100.0,
        gt=0,
        le=MINUTE,
        description="reading features may take this long; slower counts as a failure of the store",
    )
    max_feature_age_hours: float = Field(
        default=36.0,
        gt=0,
        le=87_600,
        description="hours since the midnight up to which features know; older ones degrade an answer "
        "(`stale_features`), unless they know the last day of the source's calendar",
    )
    streaming: StreamingSpec | None = Field(default=None, description="also answer the requests of a Kafka topic")


class DriftSpec(Strict):
    """When features or scores count as drifted; the statistics are in `ml_assets.monitoring.drift`."""

    reference_days: int = Field(default=28, ge=1, le=YEARS, description="days of traffic compared with, at most")
    min_reference_days: int = Field(
        default=3, ge=1, le=YEARS, description="with fewer days of traffic nothing is judged yet"
    )
    windows: int = Field(default=3, ge=1, le=YEARS, description="newest days looked at together")
    needed: int = Field(
        default=2, ge=1, le=YEARS, description="of these, days that must drift before it counts as persistent"
    )
    false_discovery_rate: float = Field(default=0.01, gt=0, lt=1, description="Benjamini-Hochberg across features")
    excess_psi: float = Field(
        default=0.1, ge=0, le=100, description="excess PSI below which a change is too small to matter"
    )
    weight: float = Field(
        default=0.1, ge=0, le=1, description="share of the model's attribution that must drift for an alarm"
    )
    min_rows: int = Field(
        default=200, ge=1, le=MANY, description="days with fewer shown products or events are not judged"
    )

    @model_validator(mode="after")
    def _can_happen(self) -> DriftSpec:
        if self.needed > self.windows:
            raise ValueError(f"needed ({self.needed}) of windows ({self.windows}) can never drift: lower needed")
        if self.min_reference_days > self.reference_days:
            raise ValueError(
                f"min_reference_days ({self.min_reference_days}) is above reference_days ({self.reference_days}): "
                "nothing would ever be judged"
            )
        return self


class QualitySpec(Strict):
    """What the delayed labels must say."""

    outcomes: Literal["events", "feedback"] = Field(
        default="events",
        description="feedback: what the shop posts to /feedback; events: what the customer did to a shown product "
        "soon after, by the raw events; of binary and regression models it is always the spine's label",
    )
    attribution_minutes: int = Field(default=60, ge=1, le=43_200, description="events: how soon after the answer")
    delay_days: int = Field(
        default=3,
        ge=0,
        le=YEARS,
        description="days until a day's outcomes count as complete; of events, horizon_days at least",
    )
    loss: float = Field(
        default=0.2, gt=0, lt=1, description="relative loss of the click rate (of events: of the skill) that matters"
    )
    confidence: float = Field(default=0.999, gt=0.5, lt=1, description="level at which a loss must be certain")


class MonitoringSpec(Strict):
    """How the deployed model is watched."""

    drift: DriftSpec = Field(default_factory=DriftSpec)
    quality: QualitySpec = Field(default_factory=QualitySpec)
    skew_rows: int = Field(default=5000, ge=1, le=MANY, description="logged rows recomputed offline per day at most")
    max_skew_share: float = Field(default=0.001, ge=0, lt=1, description="share of values that may differ")
    sample_rows: int = Field(default=2000, ge=100, le=1_000_000, description="rows an Evidently report is drawn on")


class RetrainingSpec(Strict):
    """When the model is trained again, and what that may cost. Days are days of data."""

    enabled: bool = Field(default=True, description="false: nothing retrains by itself")
    max_age_days: int = Field(
        default=75,
        ge=1,
        le=YEARS,
        description="days since the champion's newest training label; test and holdout weeks count",
    )
    cooldown_days: int = Field(default=1, ge=0, le=YEARS, description="days between two attempts for the same cause")
    daily_budget: int = Field(default=2, ge=1, le=1000, description="attempts a day at most, whatever the causes")
    min_gain: float = Field(
        default=0.0,
        ge=0,
        le=MANY,
        description="what the cheap refit must gain in the gate's metric before tuning is paid for",
    )
    refit_rounds: int = Field(default=80, ge=1, le=100_000, description="boosting rounds of the cheap refit")
    split: SplitSpec = Field(
        default_factory=lambda: SplitSpec(train=8, validation=1, test=1, holdout=0),
        description="cut used when a drift or a loss is the cause: as close to now as the labels allow; of a binary or "
        "regression model, when it is not said, that of `split` with half of its validation days to judge on",
    )


class ReleaseSpec(Strict):
    """How a new champion goes out."""

    enabled: bool = Field(default=True, description="false: a new champion serves everybody at once")
    shadow_answers: int = Field(
        default=200, ge=0, le=MANY, description="answers it must also score unseen; 0 starts with the canary"
    )
    steps: tuple[float, ...] = Field(default=(0.05, 0.2, 0.5), description="shares of customers, one after the other")
    step_customers: int = Field(
        default=300, ge=1, le=MANY, description="canary customers a step must have before the next"
    )
    customers: int = Field(
        default=1900, ge=1, le=MANY, description="planned size: canary customers judged before promotion"
    )
    margin: float = Field(default=0.1, gt=0, lt=1, description="relative loss of the click rate that is tolerable")
    harm: float = Field(default=0.005, gt=0, lt=0.5, description="chance of rolling back a harmless model")
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="level of the non-inferiority test")

    @field_validator("steps")
    @classmethod
    def _ascending(cls, steps: tuple[float, ...]) -> tuple[float, ...]:
        if not steps or list(steps) != sorted(set(steps)) or not 0 < steps[0] <= steps[-1] <= 1:
            raise ValueError("must be ascending shares in (0, 1], e.g. [0.05, 0.2, 0.5]")
        return steps
