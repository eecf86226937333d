"""What is known of a release's traffic: counts, as read from the prediction log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ml_assets.release.evidence import Stratum


@dataclass(frozen=True, slots=True)
class Step:
    """A share of customers, and since when (UTC) the challenger has had it; `number` counts from 1."""

    number: int
    share: float
    began: datetime


@dataclass(frozen=True, slots=True)
class Drawn(Stratum):
    """Customers of one step who had been drawn last in the step `before` (0: never)."""

    step: int
    before: int


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers that were to come from one arm: how many, how many did not or were useless, how many were late."""

    count: int = 0
    failed: int = 0
    slow: int = 0

    @property
    def slow_share(self) -> float:
        """Share of late answers; 0 without answers."""
        return self.slow / self.count if self.count else 0.0

    @property
    def failed_share(self) -> float:
        """Share of answers that failed; 0 without answers."""
        return self.failed / self.count if self.count else 0.0


@dataclass(frozen=True, slots=True)
class ArmData:
    """All that a release is judged by.

    Attributes:
        canary: answers to customers of the canary; of the shadow while the challenger is one.
        champion: answers to all others.
        drawn: the customers who count, as `read` says; empty for a shadow.
        step: number of the step under way; 0 for a shadow.
        overlap: mean Jaccard index of what champion and shadow would have shown; None without a shadow.
    """

    canary: Answers
    champion: Answers
    drawn: tuple[Drawn, ...] = ()
    step: int = 0
    overlap: float | None = None

    @property
    def customers(self) -> int:
        """Customers of the canary who count."""
        return sum(each.canary for each in self.drawn)

    @property
    def customers_of_step(self) -> int:
        """Customers of the canary who came to it in the step under way."""
        return sum(each.canary for each in self.drawn if each.step == self.step)
