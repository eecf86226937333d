"""Is the click rate, or the skill, lower than it was? The newest days against the days before, given chance.

A day's mean is taken as mean + weekday + day + sampling. The variances of weekdays and of days are
estimated from the reference days by the method of moments (DerSimonian and Laird 1986). That of sampling is, of
clicks, the binomial one times the design effect of customers who answer alike; of a skill (`skill`), what a row of
the reference days was worth, clustered by event, and no less than the judged day's own says. How far skills differ
between days is known from few of them: one standard error of that variance, sqrt(2 / (days - 1)) of it as of a
chi-square, is added. What is expected of a weekday is the mean of all reference days, drawn towards the mean of that
weekday as far as weekdays differ (empirical Bayes: Morris 1983). Days that are judged are in no reference.

It is a loss when three things hold. It persists: `needed` of the newest `windows` days are worse (one-sided
5 %). It is certain: these days together are, at the level asked for, divided by the number of ways to choose
them (Bonferroni). It matters: together they lack the share of the expected clicks that the model's YAML names. A
skill may be expected to be zero or below it, as of a model that explains nothing: the share is of its size then.
No answer at all being used, where many would be, is no loss but missing outcomes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from statistics import NormalDist

import numpy as np

from ml_assets.metrics.ranking import BoolArray, FloatArray
from ml_assets.monitoring.quality.rates import Moments
from ml_assets.monitoring.reports import Report

MIN_ANSWERS = 50
"""Answers below which a day is not judged and is in no reference."""

WORSE = 0.05
"""One-sided level at which a single day counts as worse."""

ENOUGH = 3
"""Repetitions of weekdays from which on weekdays and days are told apart; before, everything is the day's."""

CLEARLY_EXPECTED = 10.0
"""Clicks expected of a day from which on none at all means that outcomes do not arrive."""


@dataclass(frozen=True)
class DayMean:
    """One version's answers of one day; of clicks the mean is a rate."""

    day: date
    version: str
    moments: Moments


@dataclass(frozen=True)
class Expectation:
    """A day's expected click rate.

    Days with the same reference share the error of its mean (`variance`); the rest of a day's variance is its
    own: `spread` + `sampling` / answers.
    """

    rate: float
    variance: float
    spread: float
    sampling: float


class DayLoss(Report):
    """A judged day beside what was expected of it; `own` and `shared` are standard errors, z > 0 is a loss."""

    day: date
    version: str
    answers: int
    rate: float
    expected: float
    own: float
    shared: float
    reference_days: int
    z: float
    worse: bool
    missing: bool


class Loss(Report):
    """The verdict over the newest days: `share` of what was expected that the worse days lack, and its z."""

    days: tuple[DayLoss, ...]
    share: float
    z: float
    persists: bool
    certain: bool
    matters: bool

    @property
    def found(self) -> bool:
        """Whether it is a loss."""
        return self.persists and self.certain and self.matters


def judge(days: Sequence[DayLoss], *, loss: float, confidence: float, windows: int, needed: int) -> Loss:
    """The verdict over the newest days.

    Args:
        days: the newest judged days, `windows` at most.
        loss: relative loss that matters.
        confidence: level at which the loss must be certain.
        windows: days looked at.
        needed: of these, days that must be worse.
    """
    worse = [each for each in days if each.worse]
    lacking = sum((each.expected - each.rate) * each.answers for each in worse)
    expected = sum(abs(each.expected) * each.answers for each in worse)
    own = sum((each.own * each.answers) ** 2 for each in worse)
    shared = sum(each.shared * each.answers for each in worse) ** 2  # one reference: its errors go together
    z = lacking / math.sqrt(own + shared) if own else 0.0
    return Loss(
        days=tuple(days),
        share=lacking / expected if expected else 0.0,
        z=z,
        persists=len(worse) >= needed,
        certain=z > _quantile((1 - confidence) / math.comb(windows, needed)),
        matters=bool(worse) and lacking >= loss * expected,
    )


def judge_day(day: DayMean, reference: Sequence[DayMean], *, clicks: bool = True, least: float = 0.0) -> DayLoss:
    """Compare a day with its reference days: at least one, each with answers, never `day` itself.

    Args:
        day: the day.
        reference: what is expected of it.
        clicks: means are rates of clicks, none of which may be missing outcomes; else skills.
        least: share of what is expected that the day must lack to count as worse.
    """
    found = expectation(reference, day.day.weekday(), clicks=clicks)
    own = math.sqrt(_own(found, day, 0 if clicks else len(reference)))
    error = math.hypot(own, math.sqrt(found.variance))
    z = (found.rate - day.moments.mean) / error if error else 0.0
    missing = clicks and day.moments.y == 0 and found.rate * day.moments.n >= CLEARLY_EXPECTED
    return DayLoss(
        day=day.day,
        version=day.version,
        answers=int(day.moments.n),
        rate=day.moments.mean,
        expected=found.rate,
        own=own,
        shared=math.sqrt(found.variance),
        reference_days=len(reference),
        z=z,
        worse=z > _quantile(WORSE) and not missing and found.rate - day.moments.mean >= least * abs(found.rate),
        missing=missing,
    )


def _own(found: Expectation, day: DayMean, days: int) -> float:
    """Variance of a day's own; of a skill (`days` of reference) as the day says, and a standard error more."""
    sampling = found.sampling / day.moments.n
    if not days:
        return found.spread + sampling
    sampling = max(sampling, day.moments.variance)  # a few large errors: no rate of clicks has such
    return (found.spread + sampling) * (1 + math.sqrt(2 / max(days - 1, 1)))


def expectation(reference: Sequence[DayMean], weekday: int, *, clicks: bool = True) -> Expectation:
    """What the reference days (at least one) let expect of a day with that weekday (0 is Monday)."""
    n = np.array([each.moments.n for each in reference])
    y = np.array([each.moments.y for each in reference])
    mean = float(y.sum() / n.sum())
    sampling = _design_effect(reference) * mean * (1 - mean) if clicks else _worth(reference)
    on = np.array([[each.day.weekday() == number for each in reference] for number in range(7)])
    on = on[on.any(axis=1)]
    spread, between = _variances(n, y, on, sampling)
    variance = float(sampling / n.sum() + spread / len(n) + between / len(on))
    mine = np.array([each.day.weekday() == weekday for each in reference])
    if not mine.any() or not between:
        return Expectation(mean, variance, spread + between, sampling)
    own = float(y[mine].sum() / n[mine].sum())
    trust = float(between / (between + sampling / n[mine].sum() + spread / mine.sum()))
    rest = 1 - trust
    return Expectation(mean + trust * (own - mean), rest**2 * variance, spread + rest * between, sampling)


def _variances(n: FloatArray, y: FloatArray, on: BoolArray, sampling: float) -> tuple[float, float]:
    """Variance of days around their weekday, and of weekdays around the mean, beyond sampling.

    `on` [weekdays, days] says which day has which weekday.
    """
    answers, mean = on @ n, y.sum() / n.sum()
    if len(n) - len(on) < ENOUGH:
        return _excess(y / n, mean, sampling / n * (1 - n / n.sum()), len(n) - 1), 0.0
    weekday = (on @ y) / answers
    spread = _excess(y / n, weekday @ on, sampling / n * (1 - n / (answers @ on)), len(n) - len(on))
    chance = (sampling / answers + spread / on.sum(axis=1)) * (1 - answers / n.sum())
    return spread, _excess(weekday, mean, chance, len(on) - 1)


def _excess(values: FloatArray, around: FloatArray | float, chance: FloatArray, freedom: int) -> float:
    """Variance of values around something beyond what chance adds to it; 0 when chance explains it."""
    return max(float(((values - around) ** 2 - chance).sum()) / freedom, 0.0) if freedom else 0.0


def _design_effect(days: Sequence[DayMean]) -> float:
    """Variance clustered by customer over the binomial one, by answers over the days; at least 1."""
    clustered = binomial = 0.0
    for each in days:
        moments = each.moments
        if not math.isnan(moments.variance):
            clustered += moments.n**2 * moments.variance
            binomial += moments.n * moments.mean * (1 - moments.mean)
    return max(clustered / binomial, 1.0) if binomial else 1.0


def _worth(days: Sequence[DayMean]) -> float:
    """Variance that one row adds to a mean, by rows over the days; days of a single unit do not say."""
    known = [each.moments for each in days if not math.isnan(each.moments.variance)]
    rows = sum(each.n for each in known)
    return sum(each.n**2 * each.variance for each in known) / rows if rows else 0.0


def _quantile(level: float) -> float:
    return NormalDist().inv_cdf(1 - level)
