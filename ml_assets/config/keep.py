"""How long each kind of data is kept: `ML_ASSETS_KEEP`, days by kind."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

EVER = "ever"
SHORTEST = 60
"""Days of data that windows, drift and late rows may look back: fewer would take away what is still read."""

Days = Annotated[int | None, Field(ge=1)]
LongDays = Annotated[int | None, Field(ge=SHORTEST)]


class Keep(BaseModel):
    """Days that each kind of data is kept; None: for ever."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lake: LongDays = Field(default=None, description="rows of published raw tables")
    landing: LongDays = Field(default=None, description="landed raw files")
    quarantine: Days = Field(default=180, description="rows set aside")
    prediction_log: LongDays = Field(default=120, description="logged lines and the tables collected from them")
    predictions: LongDays = Field(default=400, description="daily tables of answers, with outcomes")
    batch_predictions: Days = Field(default=120, description="scored customers or events by day")
    training_sets: Days = Field(default=120, description="rows that models were trained on")
    versions: Days = Field(default=365, description="model versions that never served, with evaluation and plots")
    indexes: LongDays = Field(default=60, description="retrieval indexes")
    bentos: Days = Field(default=60, description="built services")
    trials: Days = Field(default=180, description="MLflow runs and tuning journals")
    reports: LongDays = Field(default=400, description="reports and pages of the monitoring")
    runs: Days = Field(default=90, description="Dagster's runs, their events and logs")
    logs: Days = Field(default=60, description="logs of commands and servers")

    @model_validator(mode="before")
    @classmethod
    def _parsed(cls, given: Any) -> Any:
        """`landing=400, runs=ever`; what is not named keeps its default."""
        if not isinstance(given, str):
            return given
        found: dict[str, int | None] = {}
        for part in (each.strip() for each in given.split(",") if each.strip()):
            kind, sign, days = (each.strip() for each in part.partition("="))
            if not sign or kind not in cls.model_fields or not (days == EVER or days.isdigit()):
                kinds = ", ".join(cls.model_fields)
                raise ValueError(f"{part!r}: say kind=days or kind={EVER}, comma between; kinds are {kinds}")
            found[kind] = None if days == EVER else int(days)
        return found

    @property
    def text(self) -> str:
        """What `ML_ASSETS_KEEP` says when it says all."""
        return ",".join(f"{kind}={EVER if days is None else days}" for kind, days in self)
