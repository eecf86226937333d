"""How much of a file trains, how much judges, and how large the trees may grow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ml_assets.scaffold.errors import ScaffoldError

AGE_DAYS = 75
"""Days after which a champion is trained again, besides those that its split left out."""
LEAST_DAYS = 28
"""Days with labelled events below which no part of a split would say anything."""
WINDOWS = (7, 28, 90, 365)


@dataclass(frozen=True)
class Training:
    """Tuning and booster, by the number of rows."""

    trials: int
    tuning_rounds: int
    rounds: int
    num_leaves: int
    learning_rate: float
    min_data_in_leaf: int


def windows_of(days: int) -> tuple[int, ...]:
    """The windows of the features: the longest three of which two fit into the file's days, one at least."""
    fitting = [window for window in WINDOWS if 2 * window <= days]
    return tuple(fitting[-3:]) or WINDOWS[:1]


def cut(days: int, windows: tuple[int, ...], horizon_days: int) -> Mapping[str, int]:
    """The parts of the split, in days with labelled events.

    Each part's labels must be known before the next one begins, so a longer horizon costs days between the parts.

    Raises:
        ScaffoldError: when there are too few days.
    """
    needed = LEAST_DAYS + 3 * (horizon_days - 1)
    if days < needed:
        raise ScaffoldError(
            f"labelled events fall on {days} days, and train, validation, test and holdout need {needed}: "
            "take a file of more days, or a --time column that says the day of each event"
        )
    left = days - 3 * (horizon_days - 1)
    validation, test, holdout = max(left // 10, 3), max(left // 5, 6), max(left // 20, 2)
    warmup = min(windows[-1], left // 8)
    return {
        "train": left - validation - test - holdout, "validation": validation, "test": test, "holdout": holdout,
        "warmup_days": warmup,
    }  # fmt: skip


def oldest(split: Mapping[str, int], horizon_days: int, days: int, calendar_days: int) -> int:
    """`retraining.max_age_days`: what the split leaves out of a new champion, and `AGE_DAYS` more.

    Args:
        split: the parts, in days with labelled events.
        horizon_days: days until a label is known.
        days: with labelled events.
        calendar_days: from the first to the last of them.
    """
    left_out = split["test"] + split["holdout"]
    return math.ceil(left_out * calendar_days / days) + 3 * horizon_days + AGE_DAYS


def training_of(rows: int) -> Training:
    """Small trees and slow steps for few rows: ten thousand events carry no large ones."""
    if rows < 20_000:
        return Training(8, 200, 600, 7, 0.03, 20 if rows < 5_000 else 50)
    if rows < 200_000:
        return Training(8, 200, 600, 15, 0.05, 100)
    return Training(8, 200, 400, 31, 0.08, 200)
