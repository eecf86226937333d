"""One global time cut: which decisions train, validate, test, and which stay untouched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from ml_assets.learning.spec import SplitSpec

SEASON = timedelta(days=364)
"""One year in whole weeks, so that a weekly decision has a counterpart a year earlier."""


class Part(StrEnum):
    """The parts of a training set, oldest first."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"
    HOLDOUT = "holdout"


LEARNED = (Part.TRAIN, Part.VALIDATION)
"""The parts that training looks at."""


@dataclass(frozen=True)
class Split:
    """The decisions of each part, ascending; no label of a part reaches into a newer part."""

    train: tuple[date, ...]
    validation: tuple[date, ...]
    test: tuple[date, ...]
    holdout: tuple[date, ...]

    def items(self) -> tuple[tuple[Part, date], ...]:
        """Every decision with its part, in the order the rows of a training set are written."""
        return tuple((part, day) for part in Part for day in getattr(self, part.value))


def split_decisions(decisions: Sequence[date], spec: SplitSpec, first_day: date, horizon_days: int) -> Split:
    """Cut the decision calendar into train, validation, test and holdout.

    Counted backwards from the newest decision. A decision whose labels would still be forming when a newer
    part begins is left out (it would hand that part's days to an older part); with decisions at least a
    horizon apart none is.

    Args:
        decisions: decision days whose labels are complete, any order.
        spec: how many decisions each part takes.
        first_day: oldest day with events; a training decision needs `warmup_days` of history after it.
        horizon_days: days in which a label forms.

    Raises:
        ValueError: when there are too few decisions; it says how many are there and how many are needed.
    """
    horizon = timedelta(days=horizon_days)
    left = sorted(set(decisions))
    holdout, left = _newest(left, spec.holdout, None, horizon)
    test, left = _newest(left, spec.test, _first(holdout), horizon)
    validation, left = _newest(left, spec.validation, _first(test), horizon)
    warm = [day for day in left if day - first_day >= timedelta(days=spec.warmup_days)]
    train, older = _newest(warm, spec.train, _first(validation), horizon)
    if not train or len(test) < spec.test or len(validation) < spec.validation:
        needed = 1 + spec.validation + spec.test + spec.holdout
        raise ValueError(
            f"{len(set(decisions))} decisions with complete labels, of which {len(warm)} could train after "
            f"{spec.warmup_days} days of history since {first_day}; the split needs at least {needed}. "
            "Ingest more days, or lower split.validation, split.test, split.holdout or split.warmup_days."
        )
    if spec.same_season:
        season = {day - SEASON for day in (*validation, *test, *holdout)}
        train = tuple(sorted({*train, *(day for day in older if day in season)}))
    return Split(train=train, validation=validation, test=test, holdout=holdout)


def _first(days: tuple[date, ...]) -> date | None:
    return days[0] if days else None


def _newest(
    days: list[date], count: int, newer: date | None, horizon: timedelta
) -> tuple[tuple[date, ...], list[date]]:
    """The newest `count` of the days whose labels end before `newer` begins, and the days older than them."""
    closed = days if newer is None else [day for day in days if day + horizon <= newer]
    cut = max(len(closed) - count, 0)
    return tuple(closed[cut:]), closed[:cut]
