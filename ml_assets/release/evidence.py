"""The statistics of a release: pure functions of counts.

A customer's arm is drawn by a hash, so without an effect it says nothing about what the customer does: of the
customers who click, the canary has the share that it has of all. That is tested as often as one likes by an
e-value, a likelihood ratio averaged over alternatives: it is a nonnegative supermartingale as long as the
canary does no harm, and so exceeds 1 / a with probability a at most, however often it is looked at (Ville 1939;
Howard, Ramdas, McAuliffe and Sekhon 2021). It is exact for any number of customers and any order of shares, which
confidence sequences by the normal approximation are not: those rolled back 3 % of harmless canaries here at a
nominal 0.5 %.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

FEWER = {0.2: 0.15, 0.5: 0.6, 0.75: 0.25}
"""Clicks of a harmful canary, relative to the champion's, with weights: what `harm` is on the watch for."""
OTHER = {0.2: 0.1, 0.5: 0.2, 0.8: 0.2, 1.25: 0.2, 2.0: 0.2, 5.0: 0.1}
"""Odds of falling to the canary when the split is broken."""
MORE = {2.0: 0.4, 10.0: 0.3, 100.0: 0.3}
"""Odds of a failure, relative to those promised, when the promise is broken."""


@dataclass(frozen=True, slots=True)
class Split:
    """How many of a kind fell to the canary and to the champion, where `share` of them was to fall to the canary.

    One that fell to both in parts counts in parts: by convexity no factor is expected to be larger for it.
    """

    canary: float
    champion: float
    share: float


@dataclass(frozen=True, slots=True)
class Stratum:
    """Customers whose arm was drawn with the same `share`, and how many of them clicked."""

    share: float
    canary: int
    champion: int
    canary_clicked: int
    champion_clicked: int


@dataclass(frozen=True, slots=True)
class Ratio:
    """Click rate of the canary relative to the champion's, with a two-sided interval."""

    value: float
    low: float
    high: float


def evidence(splits: Iterable[Split], odds: Mapping[float, float]) -> float:
    """Log of the e-value that the canary's odds are not as planned but multiplied by one of `odds`.

    Given that one of a kind is seen, it falls to the canary with probability s o / (s o + 1 - s), s the share
    and o its relative odds; o = 1 is the null hypothesis. With all `odds` below (above) 1 the null hypothesis
    is one-sided: the expectation of each factor falls (rises) in the true odds. This is the sequential test of
    Lindon and Malek (2022), "Anytime-valid inference for multinomial count data", with a mixture of points. The
    two-sample e-variables of Turner, Ly and Grunwald (2024), "Generic E-variables for exact sequential k-sample
    tests that allow for optional stopping", also use those who do not click, which needs a guess of the click
    rate and detected no more here at rates up to 0.2.

    Args:
        splits: what was counted, by planned share.
        odds: alternatives and their weights, which sum to 1.
    """
    counted = [(each.canary, each.canary + each.champion, each.share) for each in splits]
    logs = [
        math.log(weight)
        + sum(canary * math.log(ratio) - both * math.log(share * ratio + 1 - share) for canary, both, share in counted)
        for ratio, weight in odds.items()
    ]
    largest = max(logs)
    return largest + math.log(sum(math.exp(each - largest) for each in logs))


def harm(strata: Iterable[Stratum]) -> float:
    """Log of the e-value that the canary's customers click less often than the champion's."""
    return evidence([Split(each.canary_clicked, each.champion_clicked, each.share) for each in strata], FEWER)


def imbalance(strata: Iterable[Stratum]) -> float:
    """Log of the e-value that customers are not split as planned (sample ratio mismatch)."""
    return evidence([Split(each.canary, each.champion, each.share) for each in strata], OTHER)


def excess(failed: float, answers: int, promised: float) -> float:
    """Log of the e-value that a larger share of answers fails (or of customers clicks) than was promised."""
    return evidence([Split(failed, answers - failed, promised)], MORE) if 0 < promised < 1 else 0.0


def ratio(strata: Sequence[Stratum], confidence: float) -> Ratio | None:
    """The Mantel-Haenszel ratio of click rates over strata; None without clicks on both sides.

    The variance of its logarithm is that of Greenland and Robins (1985), "Estimation of a common effect
    parameter from sparse follow-up data". Strata keep a change of the click rate over time, or of the share,
    from looking like an effect. Valid at one look that was planned.

    Args:
        strata: the counts.
        confidence: of each of the two limits by itself.
    """
    own = other = spread = 0.0
    for each in strata:
        both, clicked = each.canary + each.champion, each.canary_clicked + each.champion_clicked
        if not both:
            continue
        own += each.canary_clicked * each.champion / both
        other += each.champion_clicked * each.canary / both
        pairs = each.canary * each.champion * clicked - each.canary_clicked * each.champion_clicked * both
        spread += pairs / both**2
    if own <= 0 or other <= 0:
        return None
    value, error = own / other, math.sqrt(max(spread, 0.0) / (own * other))
    width = math.exp(NormalDist().inv_cdf(confidence) * error)
    return Ratio(value, value / width, value * width)


def fewer_clicks(strata: Iterable[Stratum]) -> float:
    """One-sided p value that the canary's customers click less often; valid at one look that was planned.

    The score test of Mantel and Haenszel (1959), without a correction for continuity; 1 when all or nobody clicked.
    """
    missing = variance = 0.0
    for each in strata:
        both, clicked = each.canary + each.champion, each.canary_clicked + each.champion_clicked
        if both < 2:
            continue
        missing += each.canary * clicked / both - each.canary_clicked
        variance += each.canary * each.champion * clicked * (both - clicked) / (both**2 * (both - 1))
    return 1 - NormalDist().cdf(missing / math.sqrt(variance)) if variance > 0 else 1.0
