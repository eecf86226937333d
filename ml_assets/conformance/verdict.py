"""What the conformance suite says: a verdict per item, and all of them about one version."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from pydantic import Field

from ml_assets.evaluation.result import Frozen


class Outcome(StrEnum):
    """What came of an item."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "not applicable"


class Verdict(Frozen):
    """One item: what came of it, a sentence that says why, and the figures behind it."""

    item: str
    title: str
    outcome: Outcome
    text: str
    figures: dict[str, Any] = Field(default_factory=dict, description="numbers and names, by what they are")
    seconds: float = 0.0


class Finding(Frozen):
    """What an item found, before the suite adds which one it was and how long it took."""

    outcome: Outcome
    text: str
    figures: dict[str, Any] = Field(default_factory=dict)


class Conformance(Frozen):
    """Every item about one version of a model."""

    model: str
    task: str
    shop: str
    version: str
    by_hand: bool = Field(default=False, description="put back by a person: the gate did not choose it last")
    training_set: str
    at: datetime
    seconds: float
    verdicts: tuple[Verdict, ...]

    @property
    def failed(self) -> tuple[Verdict, ...]:
        """The items that failed."""
        return tuple(each for each in self.verdicts if each.outcome is Outcome.FAILED)

    @property
    def ok(self) -> bool:
        """Whether none failed and some passed."""
        return not self.failed and any(each.outcome is Outcome.PASSED for each in self.verdicts)

    @property
    def day(self) -> date:
        """When it was checked."""
        return self.at.date()

    @property
    def text(self) -> str:
        """One line for people."""
        passed = sum(each.outcome is Outcome.PASSED for each in self.verdicts)
        how = " (put back by hand)" if self.by_hand else ""
        said = f"version {self.version}{how}: {passed} of {len(self.verdicts)} items passed in {self.seconds:.0f} s"
        named = ", ".join(each.item for each in self.failed)
        return f"{said}; failed: {named}" if named else said


def passed(text: str, **figures: Any) -> Finding:
    """It is as it should be."""
    return Finding(outcome=Outcome.PASSED, text=text, figures=figures)


def failed(text: str, **figures: Any) -> Finding:
    """It is not."""
    return Finding(outcome=Outcome.FAILED, text=text, figures=figures)


def judged(problem: str | None, fine: str, **figures: Any) -> Finding:
    """Failed with the problem when there is one, else passed."""
    return failed(problem, **figures) if problem else passed(fine, **figures)
