"""How far a day's distribution lies from the reference's, and whether chance or a usual day explains it.

PSI = sum over bins of (q - p) ln(q / p), p the reference's shares and q the day's. Under no change and with
independent rows PSI ~ (1/n + 1/m) chi2(B - 1) for n and m rows in B bins. Rows of one answer and of one customer
are alike, so B - 1 is replaced by what it is worth per row, learned from the reference: noise = day/n + pooled/m,
where `day` is the trace of the covariance of a row's bins clustered by customer within a day, and `pooled` the same
with a customer's days together (Rao and Scott 1981, first-order correction; degrees of freedom by Satterthwaite
as in their second-order one). Customers are clustered in `GROUPS` groups by hash (random groups, Wolter 2007).

What a usual day shows beyond that noise (features follow the calendar, few categories move together, histories
grow) is learned from the reference's own days, each against others: against the same weekday for days that are compared
with their own, against other weekdays for those that are not. Few days show it badly, so that three standard errors
of chance are allowed in any case.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

GROUPS = 20
"""Groups of customers by hash: 19 degrees of freedom for what recurs on many days, times the days for the rest."""

MEDIAN = math.sqrt(math.pi / 2)
"""Standard error of a median over that of a mean, of normal values."""
REACH = 9.0
"""Times its reference days' median excess a feature may show: three times as far, PSI grows with the square."""


@dataclass(frozen=True)
class Spread:
    """What a row is worth: noise of a PSI is `day / n + pooled / m`; both are B - 1 for independent rows."""

    day: float
    pooled: float
    freedom: float


@dataclass(frozen=True)
class Distances:
    """Days against the days they are compared with: T days, of which the first D are the reference's own.

    Attributes:
        psi: [T].
        noise: [T] PSI expected under no change.
        freedom: [T] degrees of freedom of PSI under no change.
        healthy: [T] median excess (PSI - noise) of the reference's days, compared as the day is.
    """

    psi: FloatArray
    noise: FloatArray
    freedom: FloatArray
    healthy: FloatArray

    @property
    def allowed(self) -> FloatArray:
        """[T] excess that a usual day may show."""
        return REACH * self.healthy

    @property
    def excess(self) -> FloatArray:
        """[T] PSI beyond noise and beyond what a usual day may show."""
        return self.psi - self.noise - self.allowed

    @property
    def p(self) -> FloatArray:
        """[T] chance of a PSI as large on a usual day: the tail of a scaled chi-square."""
        from scipy.special import gammaincc

        chi2 = self.freedom * self.psi / (self.noise + self.healthy)
        return np.asarray(gammaincc(self.freedom / 2, chi2 / 2), dtype=np.float64)


@dataclass(frozen=True)
class Mixed:
    """Comparisons across weekdays.

    Attributes:
        days: [T] which days are compared with days of other weekdays.
        usual: [D, D] which other weekdays' days each reference day is compared with, to learn how far they lie apart.
    """

    days: BoolArray
    usual: BoolArray


def measure(counts: FloatArray, compared: BoolArray, mixed: Mixed | None = None) -> Distances:
    """Compare every day with the reference days chosen for it.

    Args:
        counts: rows [T days, G groups of customers, B bins]; the first D days are the reference's.
        compared: [T, D] which reference days a day is compared with; never a reference day with itself.
        mixed: which of these comparisons are across weekdays; without it all are of one kind.
    """
    days = compared.shape[1]
    total = counts[:days].sum(axis=(0, 1))
    usual = spread_of(counts[:days], total)
    spreads = [usual] * days + [_own_spread(day, total, usual) for day in counts[days:]]
    found, noise = _apart(counts.sum(axis=1), compared, spreads, usual.pooled, total)
    freedom = np.array([each.freedom for each in spreads])
    own = np.ones(days, dtype=bool) if mixed is None else ~mixed.days[:days]
    healthy = np.full(len(counts), _usual(found[:days][own], noise[:days][own], freedom[:days][own]))
    if mixed is not None:
        between = _apart(counts[:days].sum(axis=1), mixed.usual, spreads[:days], usual.pooled, total)
        healthy = np.where(mixed.days, _usual(*between, freedom[:days]), healthy)
    return Distances(found, np.maximum(noise, 1e-12), freedom, healthy)


def _apart(
    daily: FloatArray, compared: BoolArray, spreads: Sequence[Spread], pooled: float, total: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """PSI of days [T, B] from those of the first ones they are compared with, and its noise; both 0 where unknown."""
    reference = compared @ daily[: compared.shape[1]]
    worth = np.array([each.day for each in spreads])
    n, m = daily.sum(axis=1), reference.sum(axis=1)
    known = (n > 0) & (m > 0)
    noise = np.where(known, worth / np.maximum(n, 1) + pooled / np.maximum(m, 1), 0.0)
    return np.where(known, psi(daily, reference, 0.5 * worth / _levels(total)), 0.0), noise


def _usual(found: FloatArray, noise: FloatArray, freedom: FloatArray) -> float:
    """Median excess of days whose distance is known, 0 at least, and of its standard error what makes three of it."""
    known = noise > 0
    if not known.any():
        return 0.0
    chance = MEDIAN * float((noise * np.sqrt(2 / freedom))[known].mean()) / math.sqrt(known.sum())
    return max(float(np.median((found - noise)[known])), 0.0) + 3 * chance / REACH


def psi(current: FloatArray, reference: FloatArray, pseudo: FloatArray | float = 0.0) -> FloatArray:
    """Population stability index of counts [..., B]; bins that are empty on both sides do not count.

    Args:
        current: counts.
        reference: counts.
        pseudo: [...] added to each bin of both sides (half an independent row), so that an empty bin is finite.
    """
    used = (current + reference) > 0
    added = np.where(used, np.asarray(pseudo)[..., None], 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        q = (current + added) / (current + added).sum(axis=-1, keepdims=True)
        p = (reference + added) / (reference + added).sum(axis=-1, keepdims=True)
        terms = (q - p) * np.log(q / p)
    return np.asarray(np.where(used & (q != p), terms, 0.0).sum(axis=-1), dtype=np.float64)


def spread_of(counts: FloatArray, total: FloatArray) -> Spread:
    """What a row of these days is worth, customers clustered.

    A group's counts less what its rows would have at the day's own shares are sums over its customers; their
    squares add up to the covariance, whatever the number of groups.

    Args:
        counts: rows [D days, G groups, B bins].
        total: [B] rows in units of whose shares the covariance is taken.
    """
    rows, groups = counts.sum(), counts.shape[1]
    levels = float(_levels(total))
    share = np.where(total > 0, total / max(total.sum(), 1), 1.0)
    of_day = counts.sum(axis=1) / np.maximum(counts.sum(axis=(1, 2)), 1)[:, None]
    moved = (counts - counts.sum(axis=2, keepdims=True) * of_day[:, None, :]) / np.sqrt(share)
    scale = groups / (groups - 1) / max(rows, 1)
    covariance = scale * np.einsum("dgb,dgc->bc", moved, moved)
    together = moved.sum(axis=0)
    trace, square = float(np.trace(covariance)), float((covariance**2).sum())
    freedom = trace**2 / square if square > 0 else levels
    day = max(trace, levels)
    return Spread(day, max(scale * float((together**2).sum()), day), float(np.clip(freedom, 1, levels)))


def _own_spread(counts: FloatArray, total: FloatArray, usual: Spread) -> Spread:
    """A day on which few customers asked for most of it spreads wider than the reference's days."""
    own = spread_of(counts[None], total + counts.sum(axis=0))
    return max(own, usual, key=lambda each: each.day)


def _levels(total: FloatArray) -> int:
    """Bins that can differ, B - 1."""
    return max(int((total > 0).sum()) - 1, 1)


def benjamini_hochberg(p: FloatArray) -> FloatArray:
    """Adjusted p-values [F]: those at most x are the findings of a false discovery rate of x (1995)."""
    order = np.argsort(p, kind="stable")
    scaled = p[order] * len(p) / np.arange(1, len(p) + 1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return adjusted
