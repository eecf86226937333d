"""The result of an evaluation: frozen, typed, the same in memory and as JSON."""

from __future__ import annotations

import math
from datetime import date
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

CANDIDATE, CHAMPION = "candidate", "champion"


def _defined(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


Number = Annotated[float | None, BeforeValidator(_defined)]
"""A metric; None where nothing counts (NaN has no JSON)."""


class Frozen(BaseModel):
    """Immutable; unknown keys are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Gain(Frozen):
    """Gain of the candidate (more is better, whatever the metric), and its bootstrap interval paired by customer.

    Of labelled events a customer is a cluster that is drawn together, a group is an event.
    """

    gain: Number
    low: Number
    high: Number
    customers: int
    groups: int


class SliceResult(Frozen):
    """The gate's metric on one slice: truth rows with `column` = `value`."""

    column: str
    value: str
    customers: int
    groups: int
    values: dict[str, Number]
    gains: dict[str, Gain]


class PartResult(Frozen):
    """One evaluated part; `values` and `gains` are contender -> metric -> number, gains of the candidate.

    Of labelled events `decisions` are the first days of the stretches that `by_decision` has values of, and there is no
    ceiling.
    """

    decisions: tuple[date, ...]
    customers: int
    groups: int
    relevant: int
    ceiling: Number
    values: dict[str, dict[str, Number]]
    gains: dict[str, dict[str, Gain]]
    by_decision: dict[str, tuple[Number, ...]]
    slices: tuple[SliceResult, ...]


class EvaluationResult(Frozen):
    """A candidate next to the champion and the baselines, on the same rows."""

    model: str
    version: str
    run_id: str
    training_set: str
    champion: str | None
    reference: str
    metric: str
    confidence: float
    parts: dict[str, PartResult]
    notes: tuple[str, ...] = ()
    inputs: str = ""

    @property
    def already_champion(self) -> bool:
        """Whether the candidate is the champion itself."""
        return self.champion == self.version


def read_result(path: Path) -> EvaluationResult:
    """Read a `result.json`.

    Raises:
        FileNotFoundError: when the version was not evaluated yet.
        pydantic.ValidationError: when the file is not an evaluation; it names the wrong fields.
    """
    return EvaluationResult.model_validate_json(path.read_text())
