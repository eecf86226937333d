"""The result of an evaluation: frozen, typed, the same in memory and as JSON."""

from __future__ import annotations

import hashlib
import json
import math
from datetime import date
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from ml_assets.storage.files import write_text_atomically

CANDIDATE, CHAMPION = "candidate", "champion"
WITHOUT = "the champion was scored without features that the training set does not have"
"""How a note begins that says what the champion lacked."""
DIGEST = "sha256"


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


class Check(Frozen):
    """One condition of the gate; `ok` is None when there was nothing to judge, which holds no candidate back."""

    name: str
    ok: bool | None
    detail: str


class GateDecision(Frozen):
    """Whether the candidate becomes champion, against whom it was judged, and why."""

    candidate: str
    champion: str | None
    reference: str
    promote: bool
    reason: str
    checks: tuple[Check, ...]
    gain: Gain | None = None


class EvaluationResult(Frozen):
    """A candidate next to the champion and the baselines, on the same rows, and what the gate decided of it.

    Evaluations from before decisions were stored have none: ask `gate.decision_of`.
    """

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
    decision: GateDecision | None = None

    @property
    def lacking(self) -> str | None:
        """What the champion had to do without in this comparison; None when it had all its features."""
        return next((note for note in self.notes if note.startswith(WITHOUT)), None)

    @property
    def already_champion(self) -> bool:
        """Whether the candidate is the champion itself."""
        return self.champion == self.version


class AlteredResultError(ValueError):
    """An evaluation's file is not what was written; the gate must not read it."""


def write_result(path: Path, result: EvaluationResult) -> None:
    """Write a `result.json` with the SHA-256 of what it says, by one rename."""
    said = result.model_dump(mode="json")
    write_text_atomically(path, json.dumps({**said, DIGEST: _digest(said)}, indent=2) + "\n")


def read_result(path: Path) -> EvaluationResult:
    """Read a `result.json`.

    Raises:
        FileNotFoundError: when the version was not evaluated yet.
        AlteredResultError: when it is not what was written, or lacks its SHA-256.
        pydantic.ValidationError: when the file is not an evaluation; it names the wrong fields.
    """
    said, digest = _said(path)
    if digest != _digest(said):
        raise AlteredResultError(
            f"{path} is not what the evaluation wrote, or was written before results had a {DIGEST}: evaluate the "
            "version again, or, when it is from before and you trust it: "
            f"python -m ml_assets seal {said.get('version')} --model {said.get('model')}"
        )
    return EvaluationResult.model_validate_json(json.dumps(said))


def is_sealed(path: Path) -> bool:
    """Whether a `result.json` has a SHA-256 at all.

    Raises:
        AlteredResultError: when the file is no evaluation.
    """
    return _said(path)[1] is not None


def seal_result(path: Path) -> None:
    """Let a `result.json` without a SHA-256 count as written.

    Raises:
        AlteredResultError: when it has one that is not its own.
        pydantic.ValidationError: when the file is not an evaluation.
    """
    said, digest = _said(path)
    if digest is None:
        write_result(path, EvaluationResult.model_validate_json(json.dumps(said)))
    read_result(path)


def _said(path: Path) -> tuple[dict[str, Any], Any]:
    """What the file says, and the SHA-256 it has of that."""
    try:
        said = json.loads(path.read_bytes())
        return said, said.pop(DIGEST, None)
    except (ValueError, AttributeError) as error:
        raise AlteredResultError(f"{path} is no evaluation ({error}): evaluate the version again") from error


def _digest(said: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
