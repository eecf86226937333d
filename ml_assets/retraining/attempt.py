"""One attempt at training again: the cheap refit first; what it found decides whether tuning is paid for."""

from __future__ import annotations

from dataclasses import dataclass, field

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.datasets.calendar import as_of
from ml_assets.datasets.training_set import DatasetRef
from ml_assets.registry.versions import VersionRef
from ml_assets.retraining.journal import record_refit
from ml_assets.retraining.precheck import refit


@dataclass(frozen=True)
class Attempted:
    """Whether to go on to tuning and training, why, and the refit's figures (none when no refit was needed)."""

    go_on: bool
    reason: str
    figures: dict[str, float] = field(default_factory=dict)


def attempt(
    spec: ModelSpec,
    settings: Settings,
    dataset: DatasetRef,
    champion: VersionRef | None,
    *,
    cause: str = "",
    cause_id: str = "",
) -> Attempted:
    """Refit and note what it found in the retraining journal; what a person asked for is never held back.

    Args:
        spec: the model.
        settings: the deployment.
        dataset: the training set of this attempt.
        champion: the version to beat, None while there is none.
        cause: why the model is trained again; empty when a person asked.
        cause_id: names the cause in the journal.
    """
    if not cause:
        return Attempted(True, "asked for by a person: nothing is held back")
    report = refit(spec, settings, dataset, champion)
    day = as_of(spec, settings).date()
    record_refit(
        settings, spec, report, cause=cause, cause_id=cause_id, training_set=dataset.fingerprint, day=day
    )  # fmt: skip
    names = ("value", "champion_value", "gain", "low", "high", "rounds", "groups", "seconds")
    figures = {name: float(value) for name in names if (value := getattr(report, name)) is not None}
    return Attempted(report.helps, report.reason, figures)
