"""Can these outcomes be what customers did? Pure functions of counts.

Feedback comes from outside: it can be forged, replayed or broken. What customers cannot do says that it is, and then
a comparison of the arms says nothing about the model.
"""

from __future__ import annotations

import math

from ml_assets.release import evidence
from ml_assets.release.observed import ArmData, Clicks

CEILING = 0.95
"""Share of answers with a click that no shop's customers reach."""
TIMES = 5.0
"""How many times more than before the release customers cannot click, whoever answers them."""
ENOUGH = 100
"""Customers that must have been answered before the release for their click rate to say something."""
CERTAIN = 0.01
"""Chance of calling the largest possible rate an impossible one; for usual rates it is nil."""
STRAYS = 20
"""Customers whose outcomes fit no answer below which that is an accident."""


def most(before: Clicks) -> float:
    """The largest click rate that customers can have, given how much they clicked before the release.

    Three clicks are added to those that were seen: when none of n customers clicked, their rate is below 3 / n (the
    rule of three). Without any click there was no feedback, and nothing is known.
    """
    if before.customers < ENOUGH or not before.shares:
        return CEILING
    return min(CEILING, TIMES * (before.shares + 3) / before.customers)


def impossible(seen: ArmData) -> str | None:
    """Why the outcomes cannot be what customers did, or None.

    A rate counts as impossible when an e-value says so, so that looking often does not make it likely. Each customer
    weighs one, however often they come.
    """
    found, limit = seen.feedback, most(seen.feedback.before)
    for name, clicks in (("challenger", found.canary), ("champion", found.champion)):
        if clicks.rate > limit and evidence.excess(clicks.shares, clicks.customers, limit) > -math.log(CERTAIN):
            text = f"{clicks.customers:,} customers of the {name} clicked on {clicks.rate:.0%} of their answers"
            return f"{text}, where {limit:.0%} would be too many{_history(found.before, limit)}"
    clicked = sum(each.canary_clicked + each.champion_clicked for each in seen.drawn)
    if found.strays >= STRAYS and found.strays > clicked:
        return (
            f"outcomes of {found.strays:,} customers name no product that their answer showed, those of {clicked:,} do"
        )
    return None


def _history(before: Clicks, limit: float) -> str:
    if limit == CEILING:
        return ""
    return f" (before the release {before.customers:,} customers clicked on {before.rate:.1%})"
