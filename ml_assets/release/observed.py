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
class Clicks:
    """How much customers click, each counted once however often they come.

    Attributes:
        customers: how many there are.
        shares: of each, the share of their answers with a click; added up.
    """

    customers: int = 0
    shares: float = 0.0

    @property
    def rate(self) -> float:
        """The mean customer's share; 0 without customers."""
        return self.shares / self.customers if self.customers else 0.0


@dataclass(frozen=True, slots=True)
class Feedback:
    """What tells whether outcomes can be what customers did.

    Attributes:
        canary: of the customers who count for the canary.
        champion: of those who count for the champion.
        before: of the champion's customers, in the days before the release; none when nothing is known.
        strays: customers who count, with an outcome for an answer of theirs that names no product which it showed.
    """

    canary: Clicks = Clicks()
    champion: Clicks = Clicks()
    before: Clicks = Clicks()
    strays: int = 0


@dataclass(frozen=True, slots=True)
class ArmData:
    """All that a release is judged by.

    Attributes:
        canary: answers to customers of the canary; of the shadow while the challenger is one.
        champion: answers to all others.
        drawn: the customers who count, as `read` says; empty for a shadow.
        step: number of the step under way; 0 for a shadow.
        overlap: mean Jaccard index of what champion and shadow would have shown; None without a shadow.
        feedback: what tells whether outcomes can be what customers did.
    """

    canary: Answers
    champion: Answers
    drawn: tuple[Drawn, ...] = ()
    step: int = 0
    overlap: float | None = None
    feedback: Feedback = Feedback()

    @property
    def customers(self) -> int:
        """Customers of the canary who count."""
        return sum(each.canary for each in self.drawn)

    @property
    def customers_of_step(self) -> int:
        """Customers of the canary who came to it in the step under way."""
        return sum(each.canary for each in self.drawn if each.step == self.step)
